-- A recorded donation has its payment, or is among those whose payments are still to
-- be made. Recording writes both in one transaction, and so does making them: what is
-- in neither, nobody ever charges.
-- examined
SELECT count(*) FROM donations
-- offenders
SELECT d.id::text, 'has no payment and nobody will make one'
FROM donations d
LEFT JOIN payments p ON p.donation_id = d.id
LEFT JOIN (SELECT unnest(donations[expanded + 1 :]) AS donation_id FROM due_batches) q ON q.donation_id = d.id
WHERE p.donation_id IS NULL AND q.donation_id IS NULL

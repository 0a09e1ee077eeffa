-- Which of the IDs are recorded, and with which content. Index: donations_pkey.
SELECT id, fingerprint
FROM donations
WHERE id = ANY ($1::uuid[])

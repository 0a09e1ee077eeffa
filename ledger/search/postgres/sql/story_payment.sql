-- What a payment has come to. Indexes: payments_pkey, disputes_donation.
SELECT p.captured_at, p.fee_minor, p.fee_currency,
    CASE WHEN p.charge <> '' THEN (
        SELECT t.status FROM %[1]s.disputes t
        WHERE t.donation_id = p.donation_id AND t.charge IN ('', p.charge)
        ORDER BY CASE t.status WHEN 'lost' THEN 0 WHEN 'open' THEN 1 ELSE 2 END
        LIMIT 1
    ) END
FROM %[1]s.payments p
WHERE p.donation_id = $1

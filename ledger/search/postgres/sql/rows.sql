-- Donations as lists show them, of those found by some index and fitting all filters
-- that follow. Indexes: search_donations_pkey, search_states_pkey, search_hidden_pkey.
SELECT d.seq, d.received_at, d.id, d.name, d.email, d.anonymous, d.hide_amount, d.amount_minor, d.fee_cover_minor, d.currency,
    s.status, s.reason, d.campaigns, d.amounts, d.message, d.dedication, s.refunded_minor, coalesce(h.what, 0), s.intent, s.charge
FROM search_donations d
JOIN search_states s ON s.seq = d.seq
LEFT JOIN search_hidden h ON h.seq = d.seq
WHERE d.seq = ANY ($1::bigint[])

-- Writes payments whose rows this transaction has locked. Index: payments_pkey.
UPDATE payments p
SET intent = u.intent, charge = u.charge, captured_minor = u.captured_minor, captured_at = u.captured_at,
    fee_minor = u.fee_minor, fee_currency = u.fee_currency, cancel = u.cancel, attempt_no = u.attempt_no,
    status = u.status, reason = u.reason, changed_at = now()
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::timestamptz[], $6::bigint[], $7::text[], $8::smallint[], $9::integer[], $10::text[], $11::text[])
    AS u (donation_id, intent, charge, captured_minor, captured_at, fee_minor, fee_currency, cancel, attempt_no, status, reason)
WHERE p.donation_id = u.donation_id

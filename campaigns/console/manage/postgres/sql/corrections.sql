-- The corrections with these refs, by entries_ref_once. The book's schema is filled in.
SELECT ref, booked_at, actor, reason FROM %[1]s.entries WHERE ref = ANY ($1::text[])

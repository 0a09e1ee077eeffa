-- What these entries moved, by currency, by entries_ref_once. The book's schema is filled in.
SELECT currencies[1], count(*), sum(amounts[1])::bigint FROM %[1]s.entries WHERE ref = ANY ($1::text[]) GROUP BY currencies[1] ORDER BY currencies[1]

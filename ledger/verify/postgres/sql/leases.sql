-- A slot has a term and a lease of that same term, not from a later epoch than the
-- installation's; a lease lasts seconds, so one that ends in a minute or more was
-- not made by this database's clock.
-- examined
SELECT count(*) FROM (SELECT slot FROM slots UNION SELECT slot FROM slot_terms UNION SELECT slot FROM slot_leases) s
-- offenders
SELECT 'slot ' || s.slot,
    CASE WHEN t.slot IS NULL THEN 'has no term'
         WHEN l.slot IS NULL THEN 'has no lease'
         WHEN t.term <> l.term THEN format('term %s, its lease says %s', t.term, l.term)
         WHEN i.epoch IS NULL THEN 'the installation has no epoch'
         WHEN t.epoch > i.epoch THEN format('epoch %s, the installation is at %s', t.epoch, i.epoch)
         ELSE format('leased until %s', l.until) END
FROM (SELECT slot FROM slots UNION SELECT slot FROM slot_terms UNION SELECT slot FROM slot_leases) s
LEFT JOIN slot_terms t ON t.slot = s.slot
LEFT JOIN slot_leases l ON l.slot = s.slot
LEFT JOIN installation i ON true
WHERE t.slot IS NULL OR l.slot IS NULL OR t.term <> l.term OR i.epoch IS NULL OR t.epoch > i.epoch
    OR (NOT l.closed AND l.until > clock_timestamp() + interval '1 minute')

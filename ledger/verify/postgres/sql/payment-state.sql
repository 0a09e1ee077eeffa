-- A payment has its donation and its attempts, numbered 1 to N, of which one at most
-- is under way; and its status is what they and its money make it. Claiming does not
-- write the status: accepted and charging are one here.
-- examined
SELECT count(*) FROM payments
-- offenders
SELECT p.donation_id::text,
    CASE WHEN d.id IS NULL THEN 'no such donation'
         WHEN a.attempts IS NULL THEN 'no attempt'
         WHEN a.attempts <> p.attempt_no OR a.first <> 1 OR a.last <> p.attempt_no THEN format('attempts %s to %s, %s of them, the last is %s', a.first, a.last, a.attempts, p.attempt_no)
         WHEN a.under_way > 1 THEN format('%s attempts under way', a.under_way)
         ELSE format('%s, and its attempts and money say %s', p.status, s.status) END
FROM payments p
LEFT JOIN donations d ON d.id = p.donation_id
LEFT JOIN (
    SELECT donation_id, count(*) AS attempts, min(attempt_no) AS first, max(attempt_no) AS last, count(*) FILTER (WHERE state BETWEEN 1 AND 4) AS under_way
    FROM attempts
    GROUP BY donation_id
) a ON a.donation_id = p.donation_id
LEFT JOIN attempts l ON l.donation_id = p.donation_id AND l.attempt_no = p.attempt_no
LEFT JOIN (
    SELECT r.donation_id, sum(r.amount_minor) AS refunded_minor
    FROM refunds r
    JOIN payments c ON c.donation_id = r.donation_id
    WHERE r.charge IN ('', c.charge) AND r.processor_id IS NOT NULL AND r.status NOT IN ('requested', 'calling', 'refused', 'failed', 'canceled')
    GROUP BY r.donation_id
) r ON r.donation_id = p.donation_id
LEFT JOIN (
    SELECT t.donation_id, bool_or(t.status IN ('open', 'lost')) AS taken
    FROM disputes t
    JOIN payments c ON c.donation_id = t.donation_id
    WHERE t.charge IN ('', c.charge)
    GROUP BY t.donation_id
) t ON t.donation_id = p.donation_id
LEFT JOIN LATERAL (
    SELECT CASE WHEN p.charge <> '' AND t.taken THEN 'disputed'
        WHEN p.charge <> '' AND coalesce(r.refunded_minor, 0) >= p.captured_minor THEN 'refunded'
        WHEN p.charge <> '' OR l.state = 7 THEN 'succeeded'
        WHEN l.state = 3 THEN 'requires_action'
        WHEN l.state = 5 THEN 'failed'
        WHEN l.state = 6 THEN 'canceled'
        ELSE 'accepted' END AS status
) s ON true
WHERE d.id IS NULL OR a.attempts IS NULL OR a.attempts <> p.attempt_no OR a.first <> 1 OR a.last <> p.attempt_no OR a.under_way > 1
    OR s.status <> CASE p.status WHEN 'charging' THEN 'accepted' ELSE p.status END

-- The two books have streams of their own, so that nobody can see a key that was
-- used in both: the same donor's key, rehearsed and then given.
-- examined
SELECT count(*) FROM donations
-- offenders
SELECT l.id::text, 'recorded in the live and in the rehearsal book'
FROM spillway.donations l
JOIN rehearsal.donations r ON r.id = l.id

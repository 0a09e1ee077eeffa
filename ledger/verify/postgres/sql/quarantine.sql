-- Whatever could not be recorded waits here until a person has looked at it.
-- examined
SELECT count(*) FROM quarantine
-- offenders
SELECT format('%s:%s', stream, sequence) || CASE WHEN record_index < 0 THEN '' ELSE format('[%s]', record_index) END,
    format('%s %s, since %s', reason, detail, to_char(quarantined_at, 'YYYY-MM-DD"T"HH24:MI:SS"Z"'))
FROM quarantine

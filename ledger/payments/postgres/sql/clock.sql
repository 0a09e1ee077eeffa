-- The time of business: the database's clock and the offset of an injected one.
SELECT clock_timestamp() + $1::interval

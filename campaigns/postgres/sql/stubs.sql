-- Every stub, in order of slug. Few rows: reads the table.
SELECT slug FROM campaigns WHERE stub ORDER BY slug

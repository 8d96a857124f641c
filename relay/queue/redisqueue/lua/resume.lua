-- resume ends a pause.
--
-- KEYS[1] prefix
-- ARGV[2] scope: "a/<agent>" or "c/<account>/<conversation>"
--
-- Returns the agents of whose lanes one may be takeable now. A second run finds no pause.
return resume(ARGV[2])

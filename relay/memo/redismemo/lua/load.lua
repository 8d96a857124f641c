-- load returns a value.
--
-- KEYS[1]  prefix of the shard
-- ARGV     2 name of the key
-- returns  the value, or nil: there is none
return read(ARGV[2]).value or false

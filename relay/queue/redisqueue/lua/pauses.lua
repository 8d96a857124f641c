-- pauses lists the pauses and changes nothing.
--
-- KEYS[1] prefix
--
-- Returns {now, …} and two a pause: its scope, and "<end in µs, or 0> <reason>". Some may be over.
local v = redis.call('HGETALL', KEYS[1] .. 'pauses')
table.insert(v, 1, now)
return v

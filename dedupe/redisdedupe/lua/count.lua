-- count counts the background sends that wait, once the lanes whose holders were lost are free.
--
-- KEYS[1]  prefix of the shard
-- returns  {how many, the number that the next seq will have at least}
--
-- The same call finds the same.
reap()
local waiting = redis.call('ZCARD', WAIT) - redis.call('ZCARD', HELD)
return {waiting, micros(math.max(now, tick + 1, num(redis.call('GET', P .. 'seq')) + 1))}

-- release gives a seat back.
--
-- KEYS[1]  prefix of the shard
-- ARGV     2 name of the seat, 3 token
-- returns  1, or 0: the token does not have it any more
local seat = KEYS[1] .. 'seat:' .. ARGV[2]
if redis.call('GET', seat) ~= ARGV[3] then return 0 end
return redis.call('DEL', seat)

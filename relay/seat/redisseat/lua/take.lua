-- take takes a seat that is free, for a time.
--
-- KEYS[1]  prefix of the shard
-- ARGV     2 name of the seat, 3 token, 4 for how many milliseconds
-- returns  1: the token has it; 0: another one has
--
-- The same call is answered 1 as long as the token has the seat.
local seat = KEYS[1] .. 'seat:' .. ARGV[2]
local holder = redis.call('GET', seat)
if holder and holder ~= ARGV[3] then return 0 end
redis.call('SET', seat, ARGV[3], 'PX', ARGV[4])
return 1

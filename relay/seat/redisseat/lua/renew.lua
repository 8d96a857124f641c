-- renew lets a token keep its seat for longer.
--
-- KEYS[1]  prefix of the shard
-- ARGV     2 name of the seat, 3 token, 4 for how many milliseconds
-- returns  1, or 0: the token does not have it any more. It does not take the seat then, although it may be free: another
--          relay may have had it meanwhile
local seat = KEYS[1] .. 'seat:' .. ARGV[2]
if redis.call('GET', seat) ~= ARGV[3] then return 0 end
return redis.call('PEXPIRE', seat, ARGV[4])

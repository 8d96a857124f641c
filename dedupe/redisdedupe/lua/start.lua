-- start notes that a call to the IM is about to begin: from here a lost holder means unknown.
--
-- KEYS[1]  prefix of the row's shard
-- ARGV     2 sum of owner and key, 3 token, 4 nonce, 5 record, 6 window, 7 lease
-- returns  1, or 0: the row is not the caller's any more
--
-- The row keeps the nonce: the same call is answered 1 and changes nothing.
local sum = ARGV[2]
local r, answer = hold(sum, ARGV[3], ARGV[4], false)
if not r then return answer end
local over, ends = now + tonumber(ARGV[6]), micros(now + tonumber(ARGV[7]))
redis.call('HSET', row_of(sum), 's', 'u', 'b', '1', 'v', micros(over), 'r', ARGV[5], 'e', ends, 'n', ARGV[4])
if r.g == '1' then
  redis.call('ZADD', HELD, ends, r.l)
else
  keep(sum, r, over)
end
return 1

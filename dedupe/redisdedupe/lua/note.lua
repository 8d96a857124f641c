-- note says that what was started has a known end, and nothing is under way.
--
-- KEYS[1]  prefix of the row's shard
-- ARGV     2 sum of owner and key, 3 token, 4 nonce, 5 record, 6 window, 7 lease
-- returns  1, or 0: the row is not the caller's any more
--
-- The row keeps the nonce: the same call is answered 1 and changes nothing.
local sum = ARGV[2]
local r, answer = hold(sum, ARGV[3], ARGV[4], false)
if not r then return answer end
local over, ends, row = now + tonumber(ARGV[6]), micros(now + tonumber(ARGV[7])), row_of(sum)
if r.g == '1' then
  redis.call('HSET', row, 's', 'w', 'b', '', 'v', '', 'r', ARGV[5], 'e', ends, 'n', ARGV[4])
  redis.call('ZADD', HELD, ends, r.l)
else
  redis.call('HSET', row, 's', 'f', 'b', '', 'v', micros(over), 'r', ARGV[5], 'e', ends, 'n', ARGV[4])
  keep(sum, r, over)
end
return 1

-- finish ends a row: done, unknown or failed. It is still good when a started row has lapsed and nobody has claimed it.
--
-- KEYS[1]  prefix of the row's shard
-- ARGV     2 sum of owner and key, 3 token, 4 nonce, 5 record, 6 window, 7 d, u or f
-- returns  1, or 0: the row is not the caller's any more
--
-- The row keeps the nonce: the same call is answered 1 and changes nothing.
local sum = ARGV[2]
local r, answer = hold(sum, ARGV[3], ARGV[4], true)
if not r then return answer end
local over, row = now + tonumber(ARGV[6]), row_of(sum)
redis.call('HSET', row, 's', ARGV[7], 'b', '', 'v', micros(over), 'r', ARGV[5], 't', '', 'e', '', 'n', ARGV[4])
if r.g == '1' then
  redis.call('HDEL', row, 'g', 'p')
  leave(sum, r.l, over)
else
  keep(sum, r, over)
end
return 1

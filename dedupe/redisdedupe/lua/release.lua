-- release gives a row back: surely not sent. With a record it stays; a background send is waiting again.
--
-- KEYS[1]  prefix of the row's shard
-- ARGV     2 sum of owner and key, 3 token, 4 nonce, 5 record, 6 window
-- returns  1, or 0: the row is not the caller's any more
--
-- The row keeps the nonce, a forgotten one for a minute: the same call is answered 1 and changes nothing.
local sum = ARGV[2]
local r, answer = hold(sum, ARGV[3], ARGV[4], false)
if not r then return answer end
local row = row_of(sum)
if r.g == '1' then
  redis.call('HSET', row, 's', 'w', 'b', '', 'v', '', 'r', ARGV[5], 't', '', 'e', '', 'n', ARGV[4])
  give_back(r.l)
elseif ARGV[5] == '' then
  local h = redis.call('HMGET', row, 'o', 'i', 'x')
  forget(sum, {o = h[1], i = h[2], s = r.s})
  redis.call('HSET', row, 'n', ARGV[4], 'x', h[3] or '')
  redis.call('PEXPIRE', row, h[3] and VOID or GONE)
else
  local over = now + tonumber(ARGV[6])
  redis.call('HSET', row, 's', 'f', 'b', '', 'v', micros(over), 'r', ARGV[5], 't', '', 'e', '', 'n', ARGV[4])
  keep(sum, r, over)
end
return 1

-- sweep forgets rows whose window is over.
--
-- KEYS[1]  prefix of the shard
-- ARGV     2 how many to look at
-- returns  how many were looked at; less than asked: there are no more
--
-- The same call goes on where the last one ended.
local sums = redis.call('ZRANGE', OVER, '-inf', micros(now), 'BYSCORE', 'LIMIT', 0, ARGV[2])
for _, sum in ipairs(sums) do
  local h = redis.call('HMGET', row_of(sum), 'o', 'i', 's', 'v', 'e')
  local r = {o = h[1], i = h[2], s = h[3], v = h[4], e = h[5]}
  if held(r) then
    redis.call('ZADD', OVER, r.e, sum)
  elseif r.o and standing(r) ~= '' then
    redis.call('ZADD', OVER, r.v, sum)
  elseif r.o then
    forget(sum, r)
  else
    redis.call('ZREM', OVER, sum)
  end
end
return #sums

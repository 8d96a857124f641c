-- renew prolongs claims.
--
-- KEYS[1]  prefix of the rows' shard
-- ARGV     2 lease, then for each row, at most 500: sum of owner and key, token
-- returns  the numbers of those still held, from 1
--
-- The same call only prolongs again.
local ends, kept = micros(now + tonumber(ARGV[2])), {}
for i = 3, #ARGV, 2 do
  local row = row_of(ARGV[i])
  local h = redis.call('HMGET', row, 't', 'e', 'g', 'l')
  if h[1] == ARGV[i + 1] and held({e = h[2]}) then
    redis.call('HSET', row, 'e', ends)
    if h[3] == '1' then redis.call('ZADD', HELD, ends, h[4]) end
    kept[#kept + 1] = (i - 1) / 2
  end
end
return kept

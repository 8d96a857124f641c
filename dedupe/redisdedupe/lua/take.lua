-- take claims the heads of ready lanes, in order of acceptance.
--
-- KEYS[1]  prefix of the shard
-- ARGV     2 how many at most, 3 nonce, 4 lease, 5 bytes of payload after which it stops
-- returns  {number of rows that are missing and were given up, then for each taken row: token, fields and values}
--
-- took:<nonce> keeps the sums for the lease: the same call returns those rows that are still as it left them.
local nonce, lease, limit = ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[2])
local memory = P .. 'took:' .. nonce
local before = redis.call('GET', memory)
local out, bytes = {0}, 0
local function add(token, flat)
  out[#out + 1] = token
  out[#out + 1] = flat
end
if before then
  for sum in string.gmatch(before, '%S+') do
    local r, flat = read(sum)
    if r.n == nonce and held(r) then add(r.t, flat) end
  end
  return out
end

local ends, sums = micros(now + lease), {}
local lanes = redis.call('ZRANGE', READY, 0, limit - 1)
local token = #lanes > 0 and ticks(#lanes)
for _, lane in ipairs(lanes) do
  if bytes >= tonumber(ARGV[5]) then break end
  local sum = redis.call('ZRANGE', line_of(lane), 0, 0)[1] or ''
  local r, flat = read(sum)
  redis.call('ZREM', READY, lane)
  if r.g ~= '1' then
    redis.call('ZREM', WAIT, sum)
    redis.call('ZREM', line_of(lane), sum)
    rearm(lane)
    out[1] = out[1] + 1
  else
    redis.call('HSET', row_of(sum), 't', micros(token), 'e', ends, 'b', '', 'n', nonce)
    redis.call('ZADD', HELD, ends, lane)
    add(micros(token), flat)
    token, bytes = token + 1, bytes + #r.p
    sums[#sums + 1] = sum
  end
end
if #lanes > 0 then redis.call('SET', memory, table.concat(sums, ' '), 'PX', micros(math.ceil(lease / 1000))) end
return out

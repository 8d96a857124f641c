-- take claims the heads of ready lanes, in order of acceptance.
--
-- KEYS[1]  prefix of the shard
-- ARGV     2 how many at most, 3 nonce, 4 lease, 5 bytes of payload after which it stops, 6 '1': only what an earlier run
--          with the nonce has taken, of which the caller had no answer; a late one takes nothing any more
-- returns  {number of rows that are missing and were given up, then for each taken row: token, fields and values}
--
-- took:<nonce> keeps the sums for the lease: the same call returns those rows that are still as it left them, for a lease
-- from now on, and gives back those for which there is no room.
local nonce, lease, limit = ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[2])
local memory = P .. 'took:' .. nonce
local before = redis.call('GET', memory)
local out, bytes = {0}, 0
local function add(token, flat)
  out[#out + 1] = token
  out[#out + 1] = flat
end
local ends, sums = micros(now + lease), {}
local function again(sum)
  local r, flat = read(sum)
  if r.n ~= nonce or not held(r) then return end
  if #out > 2 * limit then
    redis.call('HSET', row_of(sum), 't', '', 'e', '', 'n', '')
    return give_back(r.l)
  end
  redis.call('HSET', row_of(sum), 'e', ends)
  redis.call('ZADD', HELD, ends, r.l)
  add(r.t, flat)
end
local life = micros(math.ceil(lease / 1000))
if before or ARGV[6] == '1' then
  for sum in string.gmatch(before or '', '%S+') do again(sum) end
  redis.call('SET', memory, before or '', 'PX', life)
  return out
end

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
if #lanes > 0 then redis.call('SET', memory, table.concat(sums, ' '), 'PX', life) end
return out

-- Lines of background sends: part of the scripts that need them, behind row.lua.
--
-- line:<lane>  the lane's rows by seq. The head stays while it is held, so it has its place when it is given back.
-- sends:wait   all rows that stand in a line, by seq.
-- sends:ready, sends:held  lanes whose head may be taken, by its seq, and lanes whose head is held, by the lease's end. A
--   lane with rows is in exactly one of the two.
local function line_of(lane) return P .. 'line:' .. lane end

-- next_seq is the next seq of the shard that is not below the caller's least. Where that is ahead of the time, for masters
-- of a Cluster may not agree on it, tick stays behind: the shard's time would leap to it, and what is held would lapse.
local function next_seq(least)
  local seq = math.max(num(least), now, tick + 1, num(redis.call('GET', P .. 'seq')) + 1)
  if seq <= now + AHEAD then
    local _, text = ticks(1, seq)
    return text
  end
  local text = micros(seq)
  redis.call('SET', P .. 'seq', text)
  return text
end

local function rearm(lane)
  local head = redis.call('ZRANGE', line_of(lane), 0, 0, 'WITHSCORES')
  if head[1] then redis.call('ZADD', READY, head[2], lane) end
end

local function give_back(lane)
  redis.call('ZREM', HELD, lane)
  rearm(lane)
end

local function enqueue(sum, lane, seq)
  redis.call('ZADD', WAIT, seq, sum)
  redis.call('ZADD', line_of(lane), seq, sum)
  if not redis.call('ZSCORE', HELD, lane) then redis.call('ZADD', READY, 'NX', seq, lane) end
end

-- leave takes the head, which is no background send any more, out of its line, and keeps it until its window is over.
local function leave(sum, lane, over)
  redis.call('ZREM', WAIT, sum)
  redis.call('ZREM', line_of(lane), sum)
  give_back(lane)
  redis.call('ZADD', OVER, micros(over), sum)
  local h = redis.call('HMGET', row_of(sum), 'o', 'i')
  outlive(sum, h[1], h[2], over)
end

-- lapse ends the hold of a lane whose holder was lost. What was started keeps its token, for a late finish.
local function lapse(lane)
  local sum = redis.call('ZRANGE', line_of(lane), 0, 0)[1]
  local h = sum and redis.call('HMGET', row_of(sum), 'b', 'v') or {}
  if h[1] ~= '1' then return give_back(lane) end
  redis.call('HDEL', row_of(sum), 'g', 'p')
  leave(sum, lane, num(h[2]))
end

local function reap()
  local lanes = redis.call('ZRANGE', HELD, '-inf', micros(now), 'BYSCORE', 'LIMIT', 0, 500)
  for _, lane in ipairs(lanes) do lapse(lane) end
end

-- settle ends a lease with one transition and brings the lane where it belongs then. The machine is that of package
-- record.
--
-- KEYS[1] prefix
-- ARGV[2] lane
-- ARGV[3] id of the job
-- ARGV[4] its seq
-- ARGV[5] token of the lease
-- ARGV[6] nonce: the same for the same token and verdict only
-- ARGV[7] 1 ack, 2 retry, 3 park, 4 bury
-- ARGV[8] 1 if it counts, else 0
-- ARGV[9] 1 if the agent answered, else 0
-- ARGV[10] delay in µs
-- ARGV[11] hold in µs
-- ARGV[12] status
-- ARGV[13] reason
--
-- Returns {1 if it is settled or was with this nonce, else 0; in how many µs the lane may be taken, -1: not by itself}.
local l, id, action = ARGV[2], ARGV[3], ARGV[7]
local a, at, job, element = agentof(l), seat(l), P .. 'job:' .. id, ARGV[4] .. ' ' .. id
if at.l == 'f' or micros(at.k) ~= ARGV[5] or at.j ~= element then
  -- Whoever repeats it did not hear that the lane may be taken.
  return call('HGET', job, 'v') == ARGV[6] and {1, 0} or {0, -1}
end
local v = call('HMGET', job, 't', 'f', 'w', 'z', 'q')
if not v[5] then return {0, -1} end

local counted, hold = tonumber(ARGV[8]), tonumber(ARGV[11])
local attempts, failed = micros((v[1] or 0) + counted), v[2] or '0'
local answered = (v[3] == '1' or ARGV[9] == '1') and '1' or '0'
local wait, till = 0, 0

local function leave(from, to, over)
  call('ZREM', P .. from .. a, id)
  call('ZADD', P .. to .. a, ARGV[4], id)
  if over then call('ZADD', over, stamp, id) end
end

local parked, from = at.r == '1', at.r == '1' and 'parked:' or 'queued:'
local was = set(a, at)
if action == '1' then
  call('HSET', job, 's', '3', 'p', stamp, 'u', ARGV[12], 't', attempts, 'e', '', 'd', '0', 'h', '0', 'v', ARGV[6])
  leave(from, 'done:', P .. 'over:done')
  call('INCRBY', P .. 'bytes', v[4] or 0)
else
  if hold > 0 then till = now + hold end
  if counted == 1 and failed == '0' then failed = stamp end
  if action ~= '4' then wait = now + math.max(0, tonumber(ARGV[10]), hold) end
  local state = action == '4' and 4 or (parked or action == '3') and 2 or 1
  call('HSET', job, 's', state, 'p', stamp, 'u', ARGV[12], 't', attempts, 'e', ARGV[13], 'd', micros(wait),
    'h', micros(till), 'f', failed, 'w', answered, 'v', ARGV[6])
  if action == '4' then
    leave(from, 'dead:', P .. 'over:dead')
  elseif action == '3' and not parked then
    leave(from, 'parked:')
  end
end

if parked then
  if wait == 0 then
    call('ZREM', P .. 'aside:' .. l, element)
    at.n = at.n - 1
  else
    call('ZADD', P .. 'aside:' .. l, wait, element)
  end
elseif action == '2' then
  at.d = wait
else
  call('LREM', P .. 'lane:' .. l, '1', element)
  at.d = 0
  if action == '3' then
    call('ZADD', P .. 'aside:' .. l, wait, element)
    at.n = at.n + 1
  end
end
call('ZREM', was, l)
at.l, at.t, at.h = 'f', action == '1' and '0' or '1', math.max(at.h, till)
if at.h <= now then at.h = 0 end
return {1, rearm(l, a, at)}

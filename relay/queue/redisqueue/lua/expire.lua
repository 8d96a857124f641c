-- expire makes jobs dead that are too old, of lanes that nobody has leased, some a call.
--
-- KEYS[1] prefix
-- ARGV[2] nonce of the call
-- ARGV[3] agent
-- ARGV[4] 'queued:' or 'parked:', which jobs
-- ARGV[5] only those with a higher seq
-- ARGV[6] how many to look at
-- ARGV[7] age in µs
-- ARGV[8] reason
-- ARGV[9] 1: a job may be older than its seq says, for some were imported; else 0
--
-- Returns {how many died, the last seq looked at, or 0 if there are no more}. A second run with the nonce returns what the
-- first did.
local before = once(ARGV[2])
if before then return before end
local a, name, limit, age = ARGV[3], ARGV[4], tonumber(ARGV[6]), tonumber(ARGV[7])
-- Seqs run ahead of the time by as many jobs as came in one microsecond.
local top = ARGV[9] == '1' and '+inf' or micros(now - age + 1000000)
local seats, touched = {}, {}

local function bury(id, seq, l, v, at)
  local element, reason = seq .. ' ' .. id, ARGV[8]
  if name == 'queued:' then
    if at.d > 0 and call('LINDEX', P .. 'lane:' .. l, 0) == element then at.d = 0 end
    call('LREM', P .. 'lane:' .. l, 1, element)
  else
    call('ZREM', P .. 'aside:' .. l, element)
    at.n = at.n - 1
  end
  if at.l == 'z' and at.j == element then at.l = 'f' end
  if v[4] and v[4] ~= '' then reason = reason .. '; last: ' .. v[4] end
  call('HSET', P .. 'job:' .. id, 's', 4, 'e', reason, 'p', stamp, 'd', 0, 'h', 0)
  call('ZREM', P .. name .. a, id)
  call('ZADD', P .. 'dead:' .. a, seq, id)
  call('ZADD', P .. 'over:dead', now, id)
  touched[l] = at
end

lapse(a)
local jobs = call('ZRANGEBYSCORE', P .. name .. a, '(' .. ARGV[5], top, 'WITHSCORES', 'LIMIT', 0, limit)
local reply = {0, #jobs == 2 * limit and tonumber(jobs[#jobs]) or 0}
for i = 1, #jobs, 2 do
  local id = jobs[i]
  local v = call('HMGET', P .. 'job:' .. id, 'l', 'i', 'a', 'e')
  if not v[1] then
    call('ZREM', P .. name .. a, id)
  elseif now - tonumber(v[2] or v[3]) >= age then
    local at = seats[v[1]] or seat(v[1])
    seats[v[1]] = at
    if at.l ~= 'l' then
      bury(id, jobs[i + 1], v[1], v, at)
      reply[1] = reply[1] + 1
    end
  end
end
for l, at in pairs(touched) do place(l, a, at) end
return keep(ARGV[2], reply)

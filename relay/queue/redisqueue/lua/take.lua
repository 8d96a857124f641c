-- take leases jobs of an agent, after it ended pauses and took leases back whose time is over.
--
-- KEYS[1] prefix
-- ARGV[2] agent
-- ARGV[3] the most leases
-- ARGV[4] how many of them of troubled lanes
-- ARGV[5] 1: early, also what is not due; else 0
-- ARGV[6] how long a lease lasts, in µs
-- ARGV[7] no further lease once their bodies have so many bytes
-- ARGV[8] who asks: one that asks again only when it has its answer
-- ARGV[9] nonce of the call
--
-- Returns {now, next, lapse, more, first, …}: in how many µs there will be something by the mere passing of time, 0: never;
-- in how many a lease may lapse, 0: there is none; 1 if there is more to take now, 2 if only of troubled lanes, 0 if not;
-- when the first that is left became due (early: the token of the lane that is able and was taken least recently, 0 if
-- never, -1 if there is none); and for each lease
-- {lane, id, token, 1 if troubled, due of the lane, job as HGETALL returns it}.
--
-- A second run with the nonce returns the leases of the first, from now on, as far as there is room for them, and takes the
-- others back: who asked may have had no answer for a while.
local a, max, quota, early = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5] == '1'
local length, room, took = tonumber(ARGV[6]), tonumber(ARGV[7]), P .. 'took:' .. ARGV[8]
local calm, rough, leased = P .. 'calm:' .. a, P .. 'rough:' .. a, P .. 'leased:' .. a
local reply, given = {now, 0, 0, 0, -1}, {ARGV[9]}

local function again()
  local v = call('GET', took)
  local before = v and cmsgpack.unpack(v)
  if not before or before[1] ~= ARGV[9] then return false end
  for i = 2, #before, 3 do
    local l, at = before[i], seat(before[i])
    if at.l == 'l' and micros(at.k) == before[i + 1] then
      if #reply < 5 + max then
        at.e = now + length
        sit(l, at)
        call('ZADD', leased, micros(at.e), l)
        reply[#reply + 1] = {l, idof(at.j), at.k, tonumber(at.t), before[i + 2], call('HGETALL', P .. 'job:' .. idof(at.j))}
      else
        at.l = 'f'
        call('ZREM', leased, l)
        place(l, a, at)
      end
    end
  end
  call('PEXPIRE', took, math.ceil(length / 1000))
  reply[4] = 1
  return true
end

-- choose returns the job to serve, and '1' if it is a parked one: the head and the parked ones in turn where both are due.
local function choose(l, at)
  if now < at.h then return end
  local head = call('LINDEX', P .. 'lane:' .. l, '0')
  local ready = head and (early or at.d <= now)
  if at.n > 0 and (not ready or at.s == '0') then
    local best
    for _, j in ipairs(call('ZRANGEBYSCORE', P .. 'aside:' .. l, '-inf', early and '+inf' or now, 'LIMIT', '0', '100')) do
      if not best or seqof(j) < seqof(best) then best = j end
    end
    if best then return best, '1' end
  end
  if ready then return head, '0' end
end

-- forget takes a job out of its lane that is nowhere else any more.
local function forget(l, at, j, parked)
  if parked == '1' then
    call('ZREM', P .. 'aside:' .. l, j)
    call('ZREM', P .. 'parked:' .. a, idof(j))
    at.n = at.n - 1
    return
  end
  call('LPOP', P .. 'lane:' .. l)
  call('ZREM', P .. 'queued:' .. a, idof(j))
  at.d = 0
end

local token
local freed, ends = {[calm] = {}, [rough] = {}}, {}

-- lend leases the lane's next job.
local function lend(name, l, at, score)
  for _ = 1, 100 do
    local j, parked = choose(l, at)
    if not j then break end
    local job = call('HGETALL', P .. 'job:' .. idof(j))
    if #job > 0 then
      local from = freed[name]
      token = token and token + 1 or ticks(max)
      at.k, at.e, at.l, at.r, at.s, at.j = token, now + length, 'l', parked, parked, j
      sit(l, at)
      from[#from + 1] = l
      ends[#ends + 1], ends[#ends + 2] = micros(at.e), l
      reply[#reply + 1] = {l, idof(j), token, tonumber(at.t), score, job}
      local n = #given
      given[n + 1], given[n + 2], given[n + 3] = l, micros(token), score
      for i = 1, #job, 2 do
        if job[i] == 'b' then room = room - #job[i + 1] end
      end
      return
    end
    forget(l, at, j, parked)
  end
  call('ZREM', name, l)
  rearm(l, a, at)
end

local function settle()
  for name, lanes in pairs(freed) do
    if #lanes > 0 then call('ZREM', name, unpack(lanes)) end
  end
  if #ends > 0 then
    call('ZADD', leased, unpack(ends))
    call('SET', took, cmsgpack.pack(given), 'PX', math.ceil(length / 1000))
  end
end

local function takeDue()
  local c = call('ZRANGE', calm, '0', ARGV[3], 'WITHSCORES')
  local r = call('ZRANGE', rough, 0, math.min(max, quota), 'WITHSCORES')
  local i, j, used = 1, 1, 0
  local function at(list, n) return tonumber(list[n + 1] or math.huge) end
  for _ = 1, max do
    local x, y = at(c, i), used < quota and at(r, j) or math.huge
    if math.min(x, y) > now or room <= 0 then break end
    if y < x or y == x and r[j] < c[i] then
      lend(rough, r[j], seat(r[j]), r[j + 1])
      j, used = j + 2, used + 1
    else
      lend(calm, c[i], seat(c[i]), c[i + 1])
      i = i + 2
    end
  end
  local x, y = at(c, i), at(r, j)
  if x <= now or y <= now and used < quota then
    reply[4], reply[5] = 1, math.min(x, y)
  elseif y <= now then
    reply[4], reply[5] = 2, y
  end
  return math.min(x > now and x or math.huge, y > now and y or math.huge)
end

local function takeEarly()
  local able = {}
  for name, n in pairs({[calm] = 63, [rough] = 63}) do
    local lanes = call('ZRANGE', name, 0, n, 'WITHSCORES')
    for i = 1, #lanes, 2 do
      local at = seat(lanes[i])
      local head = call('LINDEX', P .. 'lane:' .. lanes[i], '0')
      if at.h <= now then
        able[#able + 1] = {name = name, l = lanes[i], at = at, score = lanes[i + 1], seq = head and seqof(head) or 0}
      end
    end
  end
  table.sort(able, function(x, y)
    if x.at.k ~= y.at.k then return x.at.k < y.at.k end
    return x.seq < y.seq
  end)
  local n, used = 0, 0
  for _, w in ipairs(able) do
    if w.at.t == '0' or used < quota then
      if n >= max then
        if reply[5] < 0 then reply[5] = w.at.k end
        break
      end
      if w.at.t == '1' then used = used + 1 end
      n = n + 1
      lend(w.name, w.l, w.at, w.score)
    end
  end
  return math.huge
end

if again() then return reply end
ended()
lapse(a)
local function later(key) return tonumber(call('ZRANGE', key, '0', '0', 'WITHSCORES')[2] or math.huge) end
local next = ending(call('HGET', P .. 'pauses', 'a/' .. a))
if next == 0 then
  next = early and takeEarly() or takeDue()
  settle()
  next = math.min(next, later(P .. 'ends'))
  local lapses = later(leased)
  if lapses ~= math.huge then reply[3] = math.max(1, lapses - now) end
end
if next ~= math.huge then reply[2] = math.max(1, next - now) end
return reply

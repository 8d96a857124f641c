-- What all scripts of the queue share. KEYS[1] is what all keys of the shard begin with; doc.go lists them.
--
-- A lane's seat (at:<lane>) is "<k> <e> <h> <d> <n> <flags> <j>": the last lease's token and end, until when the lane is
-- held, when its head is due (0: it was not tried yet, and is due since it came), how many parked jobs there are, flags,
-- and which job the last lease was of, as it stands in the list. The flags: l lease (f none, l one, z one that lapsed and
-- that nobody took since), r it was of a parked job, s whose turn it was last (1: a parked job's), t the last attempt was
-- no ack, x the conversation is paused. So the seat alone tells in which of the four sets the lane is. There is none
-- for a lane that was never taken since it was last empty. Times are in microseconds.
local P, call = KEYS[1], redis.call

-- The time never goes back, whatever becomes of the clock: leases and dues would stay in the future for as long as it was
-- set back, or as another server's clock is behind. tick, the last number given, tells how far it had come; what is added
-- since is kept in skew.
do
  local v = call('MGET', P .. 'tick', P .. 'skew')
  local skew = tonumber(v[2] or 0)
  now = now + skew
  local behind = tonumber(v[1] or 0) - now
  if behind > 1000000 then
    now = now + behind
    call('SET', P .. 'skew', string.format('%.0f', skew + behind))
  end
end

-- micros is as exact as that of the prelude, and twice as fast: Redis' Lua prints %d as a whole number of 64 bits. It is
-- needed often, as is stamp. What redis.call is given as a number it prints slowly too: constants are texts.
local function micros(n) return string.format('%d', n) end
local stamp = micros(now)

local function agentof(l) return l:match('^[^/]*') end

local function seqof(job) return tonumber(job:match('^%d+')) end

-- since is when a job that was never tried became due: when it came, to the millisecond, for seqs that came in one are
-- not told apart by the time.
local function since(job) return math.min(seqof(job) - seqof(job) % 1000, now) end

local function idof(job) return job:match('^%d+ (.*)$') end

local function seat(l)
  local v = call('GET', P .. 'at:' .. l)
  if not v then
    return {k = 0, e = 0, h = 0, d = 0, n = 0, l = 'f', r = '0', s = '0', t = '0', x = '0', j = '', none = true}
  end
  local k, e, h, d, n, lease, r, s, t, x, j = v:match('^(%d+) (%d+) (%d+) (%d+) (%d+) (%l)(%d)(%d)(%d)(%d) (.*)$')
  return {
    k = tonumber(k), e = tonumber(e), h = tonumber(h), d = tonumber(d), n = tonumber(n),
    l = lease, r = r, s = s, t = t, x = x, j = j,
  }
end

local function sit(l, at, ...)
  call('SET', P .. 'at:' .. l, string.format('%d %d %d %d %d %s%s%s%s%s %s',
    at.k, at.e, at.h, at.d, at.n, at.l, at.r, at.s, at.t, at.x, at.j), ...)
end

-- anew makes the seat of a lane that was without work what it is when there is none, but for a hold that is not over.
local function anew(at)
  if at.h <= now then at.h, at.s, at.t = 0, '0', '0' end
end

-- set is which of its agent's four sets a lane with work is in.
local function set(a, at)
  if at.l == 'l' then return P .. 'leased:' .. a end
  if at.x == '1' then return P .. 'held:' .. a end
  if at.t == '1' then return P .. 'rough:' .. a end
  return P .. 'calm:' .. a
end

local function due(l, at)
  local first
  local head = call('LINDEX', P .. 'lane:' .. l, '0')
  if head then
    first = at.d > 0 and at.d or since(head)
  end
  if at.n > 0 then
    local p = tonumber(call('ZRANGE', P .. 'aside:' .. l, '0', '0', 'WITHSCORES')[2])
    if p and (not first or p < first) then first = p end
  end
  return first and math.max(first, at.h)
end

-- rearm puts a lane that is not leased and is in no set where it belongs. It returns in how long it may be taken; -1: not
-- before something happens to it.
local function rearm(l, a, at)
  local first = due(l, at)
  if first then
    sit(l, at)
    if at.x == '1' then
      call('ZADD', set(a, at), 0, l)
      return -1
    end
    call('ZADD', set(a, at), first, l)
    return math.max(0, first - now)
  end
  if at.h > now then
    sit(l, at, 'PX', math.ceil((at.h - now) / 1000) + 3600000)
  else
    call('DEL', P .. 'at:' .. l)
  end
  return -1
end

-- ending is when a pause ends: its time, math.huge for one without an end, 0 for none.
local function ending(v)
  local till = v and tonumber(v:match('^%d+'))
  if not till or till > 0 and till <= now then return 0 end
  return till == 0 and math.huge or till
end

-- place is rearm for a lane that may be anywhere, or nowhere: its seat is changed, but not what tells of its set.
local function place(l, a, at)
  if at.l == 'l' then
    sit(l, at)
    return -1
  end
  call('ZREM', set(a, at), l)
  at.x = ending(call('HGET', P .. 'pauses', 'c' .. l:sub(#a + 1))) > 0 and '1' or '0'
  return rearm(l, a, at)
end

-- ticks returns the first of n numbers in a row that were never given before.
local function ticks(n)
  local last = tonumber(call('SET', P .. 'tick', micros(now + n - 1), 'GET') or 0)
  if last < now then return now end
  call('SET', P .. 'tick', micros(last + n))
  return last + 1
end

-- hold begins a pause that ends at the time, or, for 0, when it is resumed.
local function hold(scope, till, reason)
  if till > 0 then call('ZADD', P .. 'ends', till, scope) else call('ZREM', P .. 'ends', scope) end
  call('HSET', P .. 'pauses', scope, micros(till) .. ' ' .. reason)
  if scope:sub(1, 1) == 'a' then return end
  for _, a in ipairs(call('SMEMBERS', P .. 'agents')) do
    local l = a .. scope:sub(2)
    local at = seat(l)
    if at.l == 'l' then
      at.x = '1'
      sit(l, at)
    elseif call('ZREM', set(a, at), l) == 1 then
      at.x = '1'
      call('ZADD', set(a, at), 0, l)
      sit(l, at)
    end
  end
end

-- resume ends a pause and returns the agents of whose lanes one may be takeable now.
local function resume(scope)
  local agents = {}
  call('HDEL', P .. 'pauses', scope)
  call('ZREM', P .. 'ends', scope)
  if scope:sub(1, 1) == 'a' then return {scope:sub(3)} end
  for _, a in ipairs(call('SMEMBERS', P .. 'agents')) do
    local l = a .. scope:sub(2)
    local at = seat(l)
    if at.x == '1' and at.l == 'l' then
      at.x = '0'
      sit(l, at)
    elseif at.x == '1' then
      place(l, a, at)
      agents[#agents + 1] = a
    end
  end
  return agents
end

-- ended ends the pauses whose time has come.
local function ended()
  for _, scope in ipairs(call('ZRANGEBYSCORE', P .. 'ends', '-inf', stamp, 'LIMIT', '0', '100')) do resume(scope) end
end

-- lapse takes the agent's leases back whose time is over.
local function lapse(a)
  for _, l in ipairs(call('ZRANGEBYSCORE', P .. 'leased:' .. a, '-inf', stamp, 'LIMIT', '0', '100')) do
    call('ZREM', P .. 'leased:' .. a, l)
    local at = seat(l)
    if at.l == 'l' then
      at.l, at.t = 'z', '1'
      rearm(l, a, at)
    end
  end
end

-- once returns the answer of an earlier run for the same call, and keep stores it.
local function once(nonce)
  local v = call('GET', P .. 'did:' .. nonce)
  return v and cmsgpack.unpack(v)
end

local function keep(nonce, reply)
  call('SET', P .. 'did:' .. nonce, cmsgpack.pack(reply), 'PX', 60000)
  return reply
end

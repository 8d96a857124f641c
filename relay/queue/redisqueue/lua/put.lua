-- put stores jobs that came in one call and belong to this shard: all or, where an id exists, none.
--
-- KEYS[1] prefix
-- ARGV[2] nonce of the call
-- ARGV[3] dedupe window in µs
-- ARGV[4] how long Redis keeps a sighting, in ms
-- ARGV[5] and on, eight a job: id, lane, sum of its key or '', sums of its aliases in this shard with a comma after each,
--         what another shard knows it as (an id, '-' for an echo, '' if it does not), meta, body, CRC of the body
--
-- Returns {'id', id} where a job with the id exists that another call stored; else five a job: 0 fresh, 1
-- repeat or 2 echo; the id that it repeats; how long it has to wait, -1: without an end; 1 if its lane went into a set;
-- 1 if its conversation is paused now for having had its last turn (see turn.lua).
--
-- A job of this nonce is there already: the run before this one stored it, and the answer is the same but for the last
-- part of it.
local nonce, window, px = ARGV[2], tonumber(ARGV[3]), ARGV[4]

-- within returns the id of a sighting that counts, '-' for an echo.
local function within(v)
  if not v then return end
  local at, id = v:match('^(%d+) (.*)$')
  if now - tonumber(at) < window then return id end
end

local function known(i)
  local sum, aliases, hint = ARGV[i + 2], ARGV[i + 3], ARGV[i + 4]
  local id = sum ~= '' and within(call('GET', P .. 'seen:' .. sum))
  if id then return id end
  if hint ~= '' then return hint end
  for alias in aliases:gmatch('[^,]+') do
    if within(call('GET', P .. 'seen:' .. alias)) == '-' then return '-' end
  end
end

-- clash names a job that cannot be stored.
local mine, there = {}, {}
local function clash()
  local ids, sums = {}, {}
  for i = 5, #ARGV, 8 do
    local id, sum = ARGV[i], ARGV[i + 2]
    if not mine[id] and not (sum ~= '' and sums[sum]) and not known(i) then
      if there[id] or ids[id] then return id end
      ids[id], sums[sum] = true, true
    end
  end
end

local ids, suspect = {}, false
for i = 5, #ARGV, 8 do
  local id = ARGV[i]
  if ids[id] then
    suspect = true
  elseif call('EXISTS', P .. 'job:' .. id) == 1 then
    if call('HGET', P .. 'job:' .. id, 'n') == nonce then mine[id] = true else there[id], suspect = true, true end
  end
  ids[id] = true
end
if suspect then
  local id = clash()
  if id then return {'id', id} end
end

-- claim returns what the key is known as, or makes it known.
local function claim(i)
  local id, sum = ARGV[i], ARGV[i + 2]
  if ARGV[i + 3] ~= '' or ARGV[i + 4] ~= '' then
    local was = known(i)
    if was then return was end
  end
  if sum == '' then return end
  local v = stamp .. ' ' .. id
  local was = call('SET', P .. 'seen:' .. sum, v, 'PX', px, 'NX', 'GET')
  if not was then return end
  local old = within(was)
  if not old then call('SET', P .. 'seen:' .. sum, v, 'PX', px) end
  return old
end

local pauses = {}
local function paused(l, a)
  local p = pauses[l]
  if not p then
    local v = call('HMGET', P .. 'pauses', 'a/' .. a, 'c' .. l:sub(#a + 1))
    p = {agent = ending(v[1]), chat = ending(v[2])}
    pauses[l] = p
  end
  return p
end

-- wait says how long a job has to, as far as is known.
local function wait(p, at, behind)
  local till = math.max(p.agent, p.chat)
  if till == math.huge then return -1 end
  if at.l ~= 'l' then
    till = math.max(till, at.h)
    if behind then till = math.max(till, at.d) end
  end
  return math.max(0, till - now)
end

-- arm brings a lane into its set into whose list the first job came, and says whether it did.
local function arm(l, a, at, p)
  local name, account = l:match('^[^/]*/([^/]*)/(.*)$')
  if call('ZADD', P .. 'known', '0', account .. '\0' .. name .. '\0' .. a) == 1 then
    call('SADD', P .. 'agents', a)
  end
  if at.l == 'l' then return 0 end
  if at.n > 0 then
    rearm(l, a, at)
    return 1
  end
  anew(at)
  at.x = p.chat > 0 and '1' or '0'
  call('ZADD', set(a, at), at.x == '1' and '0' or at.h > now and at.h or stamp, l)
  if not at.none or at.x == '1' then sit(l, at) end
  return 1
end

-- brake begins a turn of the conversation, and pauses it if it has had its last one. It says whether it did.
local function brake(l, a)
  local chat = l:sub(#a + 2)
  local was = call('SET', P .. 'talk:' .. chat, '1', 'PX', 3600000, 'GET')
  if not was or was == '1' then return 0 end
  local till, length, reason = was:match('^0 (%d+) (%d+) (.*)$')
  if now >= tonumber(till) or paused(l, a).chat > 0 then return 0 end
  hold('c/' .. chat, now + tonumber(length), reason)
  call('DEL', P .. 'turns:' .. chat)
  pauses[l] = nil
  return 1
end

local first
local function store(i, nth)
  local id, l, body = ARGV[i], ARGV[i + 1], ARGV[i + 6]
  local a = agentof(l)
  local braked = brake(l, a)
  first = first or ticks((#ARGV - 4) / 8)
  local seq = micros(first + nth)
  call('HSET', P .. 'job:' .. id, 'l', l, 'm', ARGV[i + 5], 'b', body, 'c', ARGV[i + 7], 'z', #body, 'q', seq,
    'a', stamp, 'n', nonce)
  local length = call('RPUSH', P .. 'lane:' .. l, seq .. ' ' .. id)
  call('ZADD', P .. 'queued:' .. a, seq, id)
  local p, at = paused(l, a), seat(l)
  local armed = length == 1 and arm(l, a, at, p) or 0
  return wait(p, at, length > 1), armed, braked
end

local reply = {}
for i = 5, #ARGV, 8 do
  local id, l = ARGV[i], ARGV[i + 1]
  local code, was, till, armed, braked = 0, id, 0, 0, 0
  if mine[id] then
    mine[id] = nil
    local head = call('LINDEX', P .. 'lane:' .. l, '0')
    till, armed = wait(paused(l, agentof(l)), seat(l), head and idof(head) ~= id), 1
  else
    local old = claim(i)
    if old then
      code, was = old == '-' and 2 or 1, old
    else
      till, armed, braked = store(i, (i - 5) / 8)
    end
  end
  local n = #reply
  reply[n + 1], reply[n + 2], reply[n + 3], reply[n + 4], reply[n + 5] = code, was, till, armed, braked
end
return reply

-- import takes jobs of another store over. Those that are here already are passed over, so a second run changes nothing.
--
-- KEYS[1] prefix
-- ARGV[2] and on, seventeen a job: id, lane, meta, body, CRC of the body, 1 if it has one else 0, state, attempts, 1 if
--         the agent answered else 0, status, last error, when it was accepted, since when it is of its age, when it is due,
--         until when it holds its lane, its first failure, its last change; times in µs, 0 for none
--
-- Returns the agents of whose lanes one may be takeable now.
local names = {'queued:', 'parked:', 'done:', 'dead:'}

local function over(id, state, body, updated)
  if state == 4 then
    call('ZADD', P .. 'over:dead', updated, id)
  elseif body then
    call('ZADD', P .. 'over:done', updated, id)
    call('INCRBY', P .. 'bytes', #body)
  else
    call('ZADD', P .. 'over:bare', updated, id)
  end
end

local function wait(l, a, at, state, element, due, till, troubled)
  local first = call('LLEN', P .. 'lane:' .. l) == 0
  if state == 1 then
    call('RPUSH', P .. 'lane:' .. l, element)
    if first then at.d = due end
    if troubled then at.t = '1' end
  else
    if troubled and first and at.n == 0 then at.t = '1' end
    call('ZADD', P .. 'aside:' .. l, due, element)
    at.n = at.n + 1
  end
  at.h = math.max(at.h, till)
  place(l, a, at)
end

local agents, reply = {}, {}
local first
for i = 2, #ARGV, 17 do
  local id, l, body, state = ARGV[i], ARGV[i + 1], ARGV[i + 5] == '1' and ARGV[i + 3] or nil, tonumber(ARGV[i + 6])
  local job, a = P .. 'job:' .. id, agentof(l)
  if call('EXISTS', job) == 0 then
    first = first or ticks((#ARGV - 1) / 17)
    local seq = micros(first + (i - 2) / 17)
    call('HSET', job, 'l', l, 'm', ARGV[i + 2], 'c', ARGV[i + 4], 'z', body and #body or 0, 'q', seq,
      's', state, 't', ARGV[i + 7], 'w', ARGV[i + 8], 'u', ARGV[i + 9], 'e', ARGV[i + 10], 'a', ARGV[i + 11],
      'i', ARGV[i + 12], 'd', ARGV[i + 13], 'h', ARGV[i + 14], 'f', ARGV[i + 15], 'p', ARGV[i + 16])
    if body then call('HSET', job, 'b', body) end
    call('ZADD', P .. names[state] .. a, seq, id)
    local account, conversation = l:match('^[^/]*/([^/]*)/(.*)$')
    call('ZADD', P .. 'known', 0, conversation .. '\0' .. account .. '\0' .. a)
    call('SADD', P .. 'agents', a)
    if state > 2 then
      over(id, state, body, ARGV[i + 16])
    else
      wait(l, a, seat(l), state, seq .. ' ' .. id, tonumber(ARGV[i + 13]), tonumber(ARGV[i + 14]), ARGV[i + 10] ~= '')
      agents[a] = true
    end
  end
end
for a in pairs(agents) do reply[#reply + 1] = a end
return reply

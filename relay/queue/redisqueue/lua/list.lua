-- list looks at some jobs, the newest first, returns those that a filter chooses, and changes nothing.
--
-- KEYS[1] prefix
-- ARGV[2] highest seq to look at
-- ARGV[3] how many to look at
-- ARGV[4] states: digits of those to look at
-- ARGV[5] 1: only leased ones, else 0
-- ARGV[6] agent, '' for all
-- ARGV[7] account as it stands in lanes, '' for all
-- ARGV[8] conversation, '' for all
-- ARGV[9] only those accepted then or later, in µs
--
-- Returns {the highest seq that a further call has to look at, or -1 if there are no more, …} and two a job: 1 if it is
-- leased else 0, and the values of its fields l m q n s t i d h f w u e p a, without those of its body.
local top, limit, since = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[9])
local agents = ARGV[6] ~= '' and {ARGV[6]} or call('SMEMBERS', P .. 'agents')
local names = {'queued:', 'parked:', 'done:', 'dead:'}
local found = {}

local function gather(key)
  local v = call('ZREVRANGEBYSCORE', key, top, since, 'WITHSCORES', 'LIMIT', 0, limit + 1)
  for i = 1, #v, 2 do found[#found + 1] = {id = v[i], seq = tonumber(v[i + 1])} end
end

local function gatherLeased(a)
  for _, l in ipairs(call('ZRANGE', P .. 'leased:' .. a, 0, -1)) do
    local at = seat(l)
    if at.l == 'l' and seqof(at.j) <= tonumber(top) then found[#found + 1] = {id = idof(at.j), seq = seqof(at.j)} end
  end
end

for _, a in ipairs(agents) do
  if ARGV[5] == '1' then
    gatherLeased(a)
  else
    for s in ARGV[4]:gmatch('%d') do gather(P .. names[tonumber(s)] .. a) end
  end
end
table.sort(found, function(x, y) return x.seq > y.seq end)

local function leased(l, element)
  local at = seat(l)
  return at.l == 'l' and at.j == element
end

local reply = {found[limit + 1] and found[limit + 1].seq or -1}
for i = 1, math.min(limit, #found) do
  local v = call('HMGET', P .. 'job:' .. found[i].id, 'l', 'm', 'q', 'n', 's', 't', 'i', 'd', 'h', 'f', 'w', 'u', 'e', 'p', 'a')
  if v[1] and tonumber(v[15]) < since then
    -- Seqs rise with the times of acceptance, but for jobs that were imported.
    v[1] = nil
  end
  if v[1] then
    local account, conversation = v[1]:match('^[^/]*/([^/]*)/(.*)$')
    if (ARGV[7] == '' or account == ARGV[7]) and (ARGV[8] == '' or conversation == ARGV[8])
      and ARGV[4]:find(v[5] or '1', 1, true) then
      v[4] = found[i].id
      for n = 1, 15 do v[n] = v[n] or '' end
      local n = #reply
      reply[n + 1], reply[n + 2] = leased(v[1], v[3] .. ' ' .. v[4]) and 1 or 0, v
    end
  end
end
return reply

-- drop removes dead jobs, and parked ones that nobody has leased. What is left of a lapsed lease of such a job ends.
--
-- KEYS[1] prefix
-- ARGV[2] nonce of the call
-- ARGV[3] and on: ids
--
-- Returns {how many were removed}. A second run with the nonce returns what the first did.
local before = once(ARGV[2])
if before then return before end
local reply = {0}

local function dropDead(id, a)
  call('ZREM', P .. 'dead:' .. a, id)
  call('ZREM', P .. 'over:dead', id)
  return true
end

local function dropParked(id, l, a, element)
  local at = seat(l)
  if at.l == 'l' and at.j == element then return false end
  call('ZREM', P .. 'aside:' .. l, element)
  call('ZREM', P .. 'parked:' .. a, id)
  at.n = at.n - 1
  if at.l == 'z' and at.j == element then at.l = 'f' end
  place(l, a, at)
  return true
end

for i = 3, #ARGV do
  local id = ARGV[i]
  local v = call('HMGET', P .. 'job:' .. id, 's', 'l', 'q')
  local gone = false
  if v[1] == '4' then
    gone = dropDead(id, agentof(v[2]))
  elseif v[1] == '2' then
    gone = dropParked(id, v[2], agentof(v[2]), v[3] .. ' ' .. id)
  end
  if gone then
    call('DEL', P .. 'job:' .. id)
    reply[1] = reply[1] + 1
  end
end
return keep(ARGV[2], reply)

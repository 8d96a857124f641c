-- revive makes dead jobs parked ones with a new age.
--
-- KEYS[1] prefix
-- ARGV[2] nonce of the call
-- ARGV[3] and on, two a job: id, in how many µs it is due
--
-- Returns {how many were moved, …} and for each its agent and in how many µs its lane may be taken, -1: not by itself. A
-- second run with the nonce returns what the first did.
local before = once(ARGV[2])
if before then return before end
local reply = {0}
for i = 3, #ARGV, 2 do
  local id = ARGV[i]
  local job = P .. 'job:' .. id
  local v = call('HMGET', job, 's', 'l', 'q')
  if v[1] == '4' then
    local l, a = v[2], agentof(v[2])
    local wait, at = now + tonumber(ARGV[i + 1]), seat(v[2])
    call('HSET', job, 's', 2, 't', 0, 'w', 0, 'i', stamp, 'p', stamp, 'd', micros(wait), 'h', 0, 'f', 0)
    call('ZREM', P .. 'dead:' .. a, id)
    call('ZREM', P .. 'over:dead', id)
    call('ZADD', P .. 'parked:' .. a, v[3], id)
    call('ZADD', P .. 'aside:' .. l, wait, v[3] .. ' ' .. id)
    if at.l == 'f' and at.n == 0 and call('EXISTS', P .. 'lane:' .. l) == 0 then anew(at) end
    at.n = at.n + 1
    local n = #reply
    reply[1], reply[n + 1], reply[n + 2] = reply[1] + 1, a, place(l, a, at)
  end
end
return keep(ARGV[2], reply)

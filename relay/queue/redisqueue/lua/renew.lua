-- renew prolongs leases that are still held. One that lapsed and that nobody took since is a lease again.
--
-- KEYS[1] prefix
-- ARGV[2] how long a lease lasts, in µs
-- ARGV[3] and on, three a lease: lane, token, job as it stands in the lane ("<seq> <id>")
--
-- Returns {now, then for each lease 1 if it is held, else 0}. A second run prolongs them by a moment more.
local reply = {now}
for i = 3, #ARGV, 3 do
  local l = ARGV[i]
  local a, at = agentof(l), seat(l)
  local held = at.l ~= 'f' and micros(at.k) == ARGV[i + 1] and at.j == ARGV[i + 2]
  if held then
    if at.l == 'z' then call('ZREM', set(a, at), l) end
    at.l, at.e = 'l', now + tonumber(ARGV[2])
    sit(l, at)
    call('ZADD', set(a, at), at.e, l)
  end
  reply[#reply + 1] = held and 1 or 0
end
return reply

-- pause holds the lanes of an agent or of a conversation. Leased lanes are let finish.
--
-- KEYS[1] prefix
-- ARGV[2] nonce of the call
-- ARGV[3] scope: "a/<agent>" or "c/<account>/<conversation>"
-- ARGV[4] for how many µs, 0: until resume
-- ARGV[5] reason
--
-- Returns {}. A second run with the nonce does nothing.
if once(ARGV[2]) then return {} end
local scope, length, till = ARGV[3], tonumber(ARGV[4]), 0
if length > 0 then
  till = now + length
  call('ZADD', P .. 'ends', till, scope)
else
  call('ZREM', P .. 'ends', scope)
end
call('HSET', P .. 'pauses', scope, micros(till) .. ' ' .. ARGV[5])
if scope:sub(1, 1) == 'c' then
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
return keep(ARGV[2], {})

-- rouse makes waiting heads of an agent's lanes due, some lanes a call.
--
-- KEYS[1] prefix
-- ARGV[2] agent
-- ARGV[3] 'calm:', 'rough:', 'held:' or 'leased:', which lanes
-- ARGV[4] how many of them to pass over
-- ARGV[5] how many to look at
--
-- Returns {how many were looked at, how many of them stay where a further call finds them, how many heads were roused}.
-- A second run finds them due.
local a, name, from, limit = ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local ready = name == 'calm:' or name == 'rough:'
local lanes
if ready then
  lanes = call('ZRANGEBYSCORE', P .. name .. a, '(' .. micros(now), '+inf', 'LIMIT', from, limit)
else
  lanes = call('ZRANGE', P .. name .. a, from, from + limit - 1)
end
local stay, roused = 0, 0
for _, l in ipairs(lanes) do
  local at = seat(l)
  local head = call('LINDEX', P .. 'lane:' .. l, 0)
  local moved = false
  if head and at.d > now and not (at.l == 'l' and at.r == '0') then
    at.d, roused = now, roused + 1
    call('HSET', P .. 'job:' .. idof(head), 'd', micros(now))
    if ready then moved = rearm(l, a, at) == 0 else sit(l, at) end
  end
  if not moved then stay = stay + 1 end
end
return {#lanes, stay, roused}

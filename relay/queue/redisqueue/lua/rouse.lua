-- rouse makes waiting heads of an agent's lanes due, some lanes a call.
--
-- KEYS[1] prefix
-- ARGV[2] agent
-- ARGV[3] 'calm:', 'rough:', 'held:' or 'leased:', which lanes
-- ARGV[4] how many of them to pass over
-- ARGV[5] how many to look at
--
-- Returns {how many were looked at, how many heads were roused}. A lane that is roused moves to the front, so it hides none
-- from the calls that follow. A second run finds them due.
local a, name, from = ARGV[2], ARGV[3], tonumber(ARGV[4])
local lanes, roused = call('ZRANGE', P .. name .. a, from, from + tonumber(ARGV[5]) - 1), 0
for _, l in ipairs(lanes) do
  local at = seat(l)
  local head = at.d > now and not (at.l == 'l' and at.r == '0') and call('LINDEX', P .. 'lane:' .. l, 0)
  if head then
    at.d, roused = now, roused + 1
    call('HSET', P .. 'job:' .. idof(head), 'd', stamp)
    if name == 'calm:' or name == 'rough:' then rearm(l, a, at) else sit(l, at) end
  end
end
return {#lanes, roused}

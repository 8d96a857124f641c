-- exportkeys hands out those of some sightings that count, and changes nothing.
--
-- KEYS[1] prefix
-- ARGV[2] dedupe window in µs
-- ARGV[3] and on: names, "seen:<sum>" or "old:<sum>"
--
-- Returns three a sighting: sum, id or '-', when it was, in µs.
local reply = {}
for i = 3, #ARGV do
  local at, id = (call('GET', P .. ARGV[i]) or ''):match('^(%d+) (.*)$')
  if at and now - tonumber(at) < tonumber(ARGV[2]) then
    local n = #reply
    reply[n + 1], reply[n + 2], reply[n + 3] = ARGV[i]:match('^%l+:(.*)$'), id, at
  end
end
return reply

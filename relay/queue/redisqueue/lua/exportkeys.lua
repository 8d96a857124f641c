-- exportkeys hands out some of the sightings that count, and changes nothing. It goes through all keys of the server and
-- picks those of the shard.
--
-- KEYS[1] prefix
-- ARGV[2] cursor of SCAN, 0 at first
-- ARGV[3] 'seen:' or 'old:', which sightings
-- ARGV[4] dedupe window in µs
--
-- Returns {the cursor to go on with, 0 if there are no more, …} and three a sighting: sum, id or '-', when it was, in µs.
local name = P .. ARGV[3]
local v = call('SCAN', ARGV[2], 'MATCH', name .. '*', 'COUNT', 500)
local reply = {v[1]}
for _, key in ipairs(v[2]) do
  local at, id = (call('GET', key) or ''):match('^(%d+) (.*)$')
  if at and now - tonumber(at) < tonumber(ARGV[4]) then
    local n = #reply
    reply[n + 1], reply[n + 2], reply[n + 3] = key:sub(#name + 1), id, at
  end
end
return reply

-- importnames takes sightings of keys and known chats of another store over. What is here already is passed over.
--
-- KEYS[1] prefix
-- ARGV[2] how long a sighting counts, in µs
-- ARGV[3] how much longer Redis keeps it, in ms
-- ARGV[4] how many sightings there are
-- ARGV[5] and on: three a sighting: sum, id or '-', when it was, in µs; then two a chat: conversation, and account as it
--         stands in lanes
--
-- Returns nothing. A second run changes nothing.
local n = 5 + 3 * tonumber(ARGV[4])
for i = 5, n - 1, 3 do
  local left = tonumber(ARGV[i + 2]) + tonumber(ARGV[2]) - now
  if left > 0 then
    call('SET', P .. 'old:' .. ARGV[i], ARGV[i + 2] .. ' ' .. ARGV[i + 1],
      'PX', math.ceil(left / 1000) + tonumber(ARGV[3]), 'NX')
  end
end
for i = n, #ARGV, 2 do call('ZADD', P .. 'known', 0, ARGV[i] .. '\0' .. ARGV[i + 1] .. '\0') end

-- stats counts and changes nothing.
--
-- KEYS[1] prefix
--
-- Returns eight values an agent: its name, how many jobs are queued, leased, parked, delivered and dead, how many lanes have
-- work; and when the oldest queued one was accepted, in µs, or 0.
local reply = {}
local function size(name, a) return call('ZCARD', P .. name .. a) end
for _, a in ipairs(call('SMEMBERS', P .. 'agents')) do
  local oldest = call('ZRANGE', P .. 'queued:' .. a, 0, 0)[1]
  for _, v in ipairs({
    a, size('queued:', a), size('leased:', a), size('parked:', a),
    size('done:', a), size('dead:', a), size('calm:', a) + size('rough:', a) + size('leased:', a) + size('held:', a),
    oldest and call('HGET', P .. 'job:' .. oldest, 'a') or '0',
  }) do reply[#reply + 1] = v end
end
return reply

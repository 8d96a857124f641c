-- states looks jobs up and changes nothing.
--
-- KEYS[1] prefix
-- ARGV[2] and on: ids
--
-- Returns for each its state, or '' if it is not here.
local reply = {}
for i = 2, #ARGV do
  local v = redis.call('HMGET', KEYS[1] .. 'job:' .. ARGV[i], 'q', 's')
  reply[#reply + 1] = v[1] and (v[2] or '1') or ''
end
return reply

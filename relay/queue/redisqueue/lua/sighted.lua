-- sighted looks sums up and changes nothing.
--
-- KEYS[1] prefix
-- ARGV[2] 'seen:' or 'old:', what is looked into
-- ARGV[3] dedupe window in µs
-- ARGV[4] and on: sums
--
-- Returns for each the id of the job, '-' for an echo, or '' when it is not known.
local reply = {}
for i = 4, #ARGV do
  local v = redis.call('GET', KEYS[1] .. ARGV[2] .. ARGV[i])
  local at, id = (v or ''):match('^(%d+) (.*)$')
  reply[#reply + 1] = at and now - tonumber(at) < tonumber(ARGV[3]) and id or ''
end
return reply

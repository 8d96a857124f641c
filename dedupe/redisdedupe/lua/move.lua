-- move makes a pointer the caller's whose shard is known to have no row of the key and to make none by this pointer.
--
-- KEYS[1]  prefix of the key's shard
-- ARGV     2 sum of owner and key, 3 the pointer as it was seen, 4 number of the shard that the caller wants, 5 ms that it
--          must live at least
-- returns  the pointer as it is now: the caller's, or what another made of it meanwhile
--
-- Asked again, it answers the pointer that it has made.
local key = KEYS[1] .. 'key:' .. ARGV[2]
local there = redis.call('GET', key)
if there and there ~= ARGV[3] then return there end
local version = tonumber(string.match(ARGV[3], ':(%d+)$'))
local mine = ARGV[4] .. ':' .. micros(math.max(now, version + 1))
redis.call('SET', key, mine, 'PX', ARGV[5])
return mine

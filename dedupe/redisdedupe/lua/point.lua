-- point says in which shard the row of a key is, or makes it the caller's.
--
-- KEYS[1]  prefix of the key's shard (which may be another than the row's)
-- ARGV     2 sum of owner and key, 3 number of the shard that the caller wants, 4 ms that the pointer must live at least,
--          5 '1': and no longer
-- returns  the pointer, "<shard>:<version>": of one key's pointers a later one has a higher version
--
-- key:<sum>  the pointer. Asked again, it answers the same.
local key = KEYS[1] .. 'key:' .. ARGV[2]
local life = tonumber(ARGV[4])
local mine = ARGV[3] .. ':' .. micros(now)
local there = redis.call('SET', key, mine, 'NX', 'GET', 'PX', ARGV[4])
if not there then return mine end
if string.sub(there, 1, #ARGV[3] + 1) == ARGV[3] .. ':' then
  local left = redis.call('PTTL', key)
  if left < life - 43200000 or ARGV[5] == '1' then redis.call('PEXPIRE', key, ARGV[4]) end
end
return there

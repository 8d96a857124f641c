-- Begins, gives up or ends a migration.
-- KEYS[1] the mark of the store, see store.lua
-- ARGV[2] 'begin', 'abandon' or 'end', ARGV[3] who, ARGV[4] shards, ARGV[5] version
-- Returns 1, or the version in the mark when it is newer: then nothing is done.
local version = tonumber(redis.call('HGET', KEYS[1], 'version') or 0)
if version > tonumber(ARGV[5]) then return version end
if ARGV[2] == 'begin' then
  redis.call('HSET', KEYS[1], 'moving', ARGV[3])
else
  redis.call('HDEL', KEYS[1], 'moving')
end
if ARGV[2] == 'end' then
  redis.call('HSET', KEYS[1], 'shards', ARGV[4], 'version', ARGV[5], 'imported', micros(now))
end
return 1

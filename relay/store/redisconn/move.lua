-- Begins, gives up or ends a migration. Only who began the last one may give it up or end it.
-- KEYS[1] the mark of the store, see store.lua; besides what stands there: from, the number of shards before the last
--         migration, when it was one within this Redis
-- ARGV[2] 'begin', 'abandon' or 'end', ARGV[3] who, ARGV[4] shards, ARGV[5] version
-- Returns 1; 0 when another one migrates, or nobody: then nothing is done; or the version in the mark when it is newer:
-- then nothing is done either. To end once more what has ended is 1: the first answer may have been lost.
local version, moving, shards = unpack(redis.call('HMGET', KEYS[1], 'version', 'moving', 'shards'))
version = tonumber(version or 0)
if version > tonumber(ARGV[5]) then return version end
if ARGV[2] == 'begin' then
  redis.call('HSET', KEYS[1], 'moving', ARGV[3])
  redis.call('HDEL', KEYS[1], 'from')
  return 1
end
if moving ~= ARGV[3] then
  if ARGV[2] == 'end' and not moving and shards == ARGV[4] then return 1 end
  return 0
end
redis.call('HDEL', KEYS[1], 'moving')
if ARGV[2] == 'end' then
  redis.call('HSET', KEYS[1], 'shards', ARGV[4], 'version', ARGV[5], 'imported', micros(now))
  if shards and shards ~= ARGV[4] then redis.call('HSET', KEYS[1], 'from', shards) end
end
return 1

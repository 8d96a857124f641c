-- Looks at the mark of the store, and writes it where there is none.
-- KEYS[1] the mark, a hash: shards, version, moving (who moves the data), imported (µs, when data was moved here)
-- ARGV[2] shards, ARGV[3] version of this program, ARGV[4] 'own' from a relay, 'moving' from a migration: it writes nothing
-- Returns shards, version, moving, imported ('' where there is none), and 1 where the mark was written.
local mark = redis.call('HMGET', KEYS[1], 'shards', 'version', 'moving', 'imported')
local wrote = 0
if ARGV[4] == 'own' and not mark[3] then
  local empty = not mark[1]
  if empty or (mark[1] == ARGV[2] and tonumber(mark[2] or 0) < tonumber(ARGV[3])) then
    redis.call('HSET', KEYS[1], 'shards', ARGV[2], 'version', ARGV[3])
    mark[1], mark[2] = ARGV[2], ARGV[3]
    if empty then wrote = 1 end
  end
end
for i = 1, 4 do mark[i] = mark[i] or '' end
return {mark[1], mark[2], mark[3], mark[4], wrote}

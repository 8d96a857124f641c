-- look tells which background sends could be taken, and frees the lanes whose holders were lost.
--
-- KEYS[1]  prefix of the shard
-- ARGV     2 how many at most
-- returns  the seqs of the heads of ready lanes, lowest first
--
-- The same call finds the same.
reap()
local found, seqs = redis.call('ZRANGE', READY, 0, tonumber(ARGV[2]) - 1, 'WITHSCORES'), {}
for i = 2, #found, 2 do seqs[#seqs + 1] = found[i] end
return seqs

-- find returns the owner's row with an id.
--
-- KEYS[1]  prefix of the shard
-- ARGV     2 owner, 3 id
-- returns  {where it stands: running, w, d, u or f, fields and values}, or nil: it is not here
local sum = redis.call('GET', id_of(ARGV[2], ARGV[3]))
if not sum then return false end
local r, flat = read(sum)
local is = standing(r)
if is == '' or r.i ~= ARGV[3] then return false end
return {is, flat}

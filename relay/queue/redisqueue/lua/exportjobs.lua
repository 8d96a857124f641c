-- exportjobs hands out some jobs in the order of their seqs, with their bodies, and changes nothing.
--
-- KEYS[1] prefix
-- ARGV[2] only those with a higher seq
-- ARGV[3] how many
-- ARGV[4] no further one once their bodies have so many bytes
--
-- Returns {the seq to go on after, 0 if there are no more, …} and two a job: id, the job as HGETALL returns it.
local limit, room, found = tonumber(ARGV[3]), tonumber(ARGV[4]), {}
for _, a in ipairs(call('SMEMBERS', P .. 'agents')) do
  for _, name in ipairs({'queued:', 'parked:', 'done:', 'dead:'}) do
    local v = call('ZRANGEBYSCORE', P .. name .. a, '(' .. ARGV[2], '+inf', 'WITHSCORES', 'LIMIT', 0, limit + 1)
    for i = 1, #v, 2 do found[#found + 1] = {id = v[i], seq = tonumber(v[i + 1])} end
  end
end
table.sort(found, function(x, y) return x.seq < y.seq end)
local reply, n = {0}, 0
for i = 1, math.min(limit, #found) do
  if room <= 0 then break end
  local job = call('HGETALL', P .. 'job:' .. found[i].id)
  for f = 1, #job, 2 do
    if job[f] == 'b' or job[f] == 'm' then room = room - #job[f + 1] end
  end
  if #job > 0 then reply[#reply + 1], reply[#reply + 2] = found[i].id, job end
  n = i
end
if n < #found then reply[1] = found[n].seq end
return reply

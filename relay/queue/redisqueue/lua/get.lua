-- get returns a job and changes nothing.
--
-- KEYS[1] prefix
-- ARGV[2] id
--
-- Returns {1 if it is leased else 0, the job as HGETALL returns it}, or {} if there is none.
local job = call('HGETALL', P .. 'job:' .. ARGV[2])
if #job == 0 then return {} end
local lane, seq
for i = 1, #job, 2 do
  if job[i] == 'l' then lane = job[i + 1] elseif job[i] == 'q' then seq = job[i + 1] end
end
local at = seat(lane)
return {at.l == 'l' and at.j == seq .. ' ' .. ARGV[2] and 1 or 0, job}

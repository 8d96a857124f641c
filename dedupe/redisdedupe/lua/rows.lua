-- rows hands out rows as they stand without a holder.
--
-- KEYS[1]  prefix of the shard
-- ARGV     2 wait or over: which rows, 3 how many to pass over, 4 how many to return, 5 bytes after which it stops
-- returns  {how many to pass over next time, 0: there are no more; then fields and values of each row}
local from, most, bytes = tonumber(ARGV[3]), tonumber(ARGV[4]), 0
local sums = redis.call('ZRANGE', P .. 'sends:' .. ARGV[2], from, from + most - 1)
local out = {#sums == most and from + most or 0}
for i, sum in ipairs(sums) do
  local r, flat = read(sum)
  r.e = ''
  if standing(r) ~= '' then
    out[#out + 1] = flat
    bytes = bytes + #(r.p or '') + #(r.r or '')
  end
  if bytes >= tonumber(ARGV[5]) and i < #sums then
    out[1] = from + i
    break
  end
end
return out

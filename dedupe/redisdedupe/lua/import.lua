-- import stores rows of another ledger. A row that is there already is passed over.
--
-- KEYS[1]  prefix of the rows' shard
-- ARGV     2 '': the rows' lanes are in this shard; 'fence': only their pointers are, see claim; then for each row, at most
--          100: sum of owner and key, owner, key, id, lane, digest, w, d, u or f, accepted, end of the window, record,
--          payload, version of the key's pointer or '', the least seq
-- returns  for each row: kept, there; void or none, see claim
--
-- The same call finds its rows there.
reap()
local out = {}
local function store(a)
  local sum = a[1]
  local row, r = row_of(sum), read(sum)
  if standing(r) ~= '' then return 'there' end
  if ARGV[2] == '' and a[12] ~= '' and num(r.x) >= num(a[12]) then return 'void' end
  if r.o then forget(sum, r) end
  if ARGV[2] ~= '' then
    redis.call('HSET', row, 'x', micros(math.max(num(r.x), num(a[12]))))
    redis.call('PEXPIRE', row, VOID)
    return 'none'
  end
  redis.call('HSET', row, 'o', a[2], 'k', a[3], 'i', a[4], 'l', a[5], 'd', a[6], 's', a[7], 'a', a[8], 'v', a[9], 'r', a[10],
    'x', r.x or '')
  redis.call('SET', id_of(a[2], a[4]), sum)
  if a[7] == 'w' then
    local seq = next_seq(a[13])
    redis.call('HSET', row, 'g', '1', 'p', a[11], 'q', seq)
    redis.call('PERSIST', row)
    enqueue(sum, a[5], seq)
  else
    redis.call('ZADD', OVER, a[9], sum)
    outlive(sum, a[2], a[4], num(a[9]))
  end
  return 'kept'
end
for i = 3, #ARGV, 13 do
  local a = {}
  for j = 0, 12 do a[j + 1] = ARGV[i + j] end
  out[#out + 1] = store(a)
end
return out

-- claim looks at a key and takes it if it can be had.
--
-- KEYS[1]  prefix of the row's shard
-- ARGV     2 sum of owner and key, 3 owner, 4 key, 5 id, 6 lane, 7 digest, 8 '1': resend, 9 '1': a background send,
--          10 its payload, 11 nonce, 12 lease, 13 window, 14 version of the key's pointer; '': it has none, 15 '': the
--          caller's lane is in this shard; 'look' or 'fence': only the pointer is, 16 the least seq
-- returns  {what, token or '', fields and values of the row}. what is claimed, queued, conflict, or where the row stands:
--          running, w, d, u; of a new row only what the caller does not know is returned. Or
--          {'void'}: another has taken the pointer over, and nothing was made; {'young'}: there is no row yet, and the
--          pointer is so young that its maker may be on the way; {'none'}: there is no row, and with this pointer none
--          will be made here (only with look and fence; with fence nothing is young)
--
-- The row keeps the nonce: the same call finds its own row claimed or queued.
local sum, digest, nonce, version, mode = ARGV[2], ARGV[7], ARGV[11], ARGV[14], ARGV[15]
local queued, lease, window = ARGV[9] == '1', tonumber(ARGV[12]), tonumber(ARGV[13])
local row = row_of(sum)
local r, flat = read(sum)
local YOUNG = 20000

local function absent()
  if mode == 'look' and now - num(version) < YOUNG then return {'young'} end
  if r.o then forget(sum, r) end
  redis.call('HSET', row, 'x', micros(math.max(num(r.x), num(version))))
  redis.call('PEXPIRE', row, VOID)
  return {'none'}
end

local function make()
  if r.o then
    forget(sum, r)
    if r.x then redis.call('HSET', row, 'x', r.x) end
  end
  local owner, id, lane, at = ARGV[3], ARGV[5], ARGV[6], micros(now)
  if queued then
    local seq = next_seq(ARGV[16])
    redis.call('HSET', row, 'o', owner, 'k', ARGV[4], 'i', id, 'l', lane, 'd', digest, 'a', at, 'n', nonce, 's', 'w',
      'g', '1', 'p', ARGV[10], 'q', seq)
    redis.call('PERSIST', row)
    redis.call('SET', id_of(owner, id), sum)
    enqueue(sum, lane, seq)
    return {'queued', '', {'a', at, 'q', seq}}
  end
  local _, token = ticks(1)
  local life = micros((window + SLACK) / 1000)
  redis.call('HSET', row, 'o', owner, 'k', ARGV[4], 'i', id, 'l', lane, 'd', digest, 'a', at, 'n', nonce, 't', token,
    'e', micros(now + lease))
  redis.call('PEXPIRE', row, life)
  redis.call('SET', id_of(owner, id), sum, 'PX', life)
  return {'claimed', token, {'a', at}}
end

local function again()
  if queued then
    local seq = next_seq(ARGV[16])
    redis.call('HSET', row, 'n', nonce, 's', 'w', 'g', '1', 'p', ARGV[10], 'q', seq, 'v', '', 't', '', 'e', '', 'b', '')
    redis.call('PERSIST', row)
    redis.call('PERSIST', id_of(r.o, r.i))
    redis.call('ZREM', OVER, sum)
    enqueue(sum, r.l, seq)
    flat[#flat + 1] = 'q'
    flat[#flat + 1] = seq
    return {'queued', '', flat}
  end
  local _, token = ticks(1)
  redis.call('HSET', row, 'n', nonce, 't', token, 'e', micros(now + lease), 'b', '')
  outlive(sum, r.o, r.i, now + window)
  return {'claimed', token, flat}
end

if r.g == '1' and r.b == '1' and not held(r) then
  lapse(r.l)
  r.g = ''
  flat[#flat + 1] = 'g'
  flat[#flat + 1] = ''
end
local is = standing(r)
if r.n == nonce and is ~= '' then
  if is == 'running' then return {'claimed', r.t, flat} end
  if is == 'w' then return {'w', '', flat} end
end
if is == '' then
  if mode ~= '' then return absent() end
  if version ~= '' and num(r.x) >= num(version) then return {'void'} end
  return make()
end
if r.d ~= digest then return {'conflict', '', flat} end
if is == 'f' or is == 'u' and ARGV[8] == '1' then return again() end
return {is, '', flat}

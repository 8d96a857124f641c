-- Rows: part of every script of the ledger.
--
-- send:<sum>  a row, sum being that of owner and key. Fields: o owner, k key, i id, l lane, d digest, a accepted; s where it
--   stands without its holder (w waiting, d done, u unknown, f failed; none: nowhere); v the end of its window; r record
--   ('' none, else a dot and its bytes); g '1': a background send, with p payload and q seq; t token, e end of the lease,
--   b '1': started; n nonce of the last change; x the newest pointer that is void here. '' is as good as absent. A row
--   that was given back is for a while n, or x, alone.
-- id:<length of owner>:<owner>:<id>  the row's sum.
-- sends:over  rows that are finished, by when to look whether their window is over.
-- tick  the shard's last number. skew  what is added to the clock. seq  the last seq that was ahead of the time.
local P = KEYS[1]
local WAIT, READY, HELD, OVER = P .. 'sends:wait', P .. 'sends:ready', P .. 'sends:held', P .. 'sends:over'

-- By how much a key outlives what decides: it is collected then although nobody sweeps.
local SLACK = 86400000000
-- How long a given back row keeps its nonce, and how long its void pointers, in ms.
local GONE, VOID = 60000, 600000

local function row_of(sum) return P .. 'send:' .. sum end
local function id_of(owner, id) return P .. 'id:' .. #owner .. ':' .. owner .. ':' .. id end
local function num(v) return tonumber(v or '') or 0 end

-- By how much tick may be ahead of the time before the clock is taken for set back, and by how much a seq may bring it
-- there: less.
local STEP, AHEAD = 1000000, 500000

-- The time never goes back, although the clock was set back, or is that of another server: what a lost relay held would
-- be held for as long. The last number tells how far the time had come.
local tick
do
  local v = redis.call('MGET', P .. 'tick', P .. 'skew')
  tick = num(v[1])
  now = now + num(v[2])
  if tick - now > STEP then
    redis.call('SET', P .. 'skew', micros(num(v[2]) + tick - now))
    now = tick
  end
end

-- ticks returns the first of the shard's next n numbers, and the last one as it is stored.
local function ticks(n, least)
  local first = math.max(now, tick + 1, num(least))
  tick = first + n - 1
  local text = micros(tick)
  redis.call('SET', P .. 'tick', text)
  return first, text
end

local function read(sum)
  local flat, r = redis.call('HGETALL', row_of(sum)), {}
  for i = 1, #flat, 2 do r[flat[i]] = flat[i + 1] end
  return r, flat
end

local function held(r) return num(r.e) > now end

-- standing is running, w, d, u or f; '': there is no row, or it is over, or only its lost holder wanted it.
local function standing(r)
  if held(r) then return 'running' end
  local s = r.s or ''
  if s ~= 'w' and num(r.v) <= now then return '' end
  return s
end

local function outlive(sum, owner, id, over)
  local ms = micros(math.max(GONE, math.ceil((over - now + SLACK) / 1000)))
  redis.call('PEXPIRE', row_of(sum), ms)
  redis.call('PEXPIRE', id_of(owner, id), ms)
end

local function forget(sum, r)
  redis.call('DEL', row_of(sum), id_of(r.o, r.i))
  if (r.s or '') ~= '' then redis.call('ZREM', OVER, sum) end
end

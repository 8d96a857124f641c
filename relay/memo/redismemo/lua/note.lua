-- How a note is kept: one string, "over:writer:number:" and then "=" and the value, or "-" for one that was forgotten just
-- now. over is when its time is over, in microseconds; writer and number name the save that wrote it. It stays for as long
-- as a call may come late, at least, so that such a one meets it.
local LATE = 60000
local P = KEYS[1] .. 'memo:'
local function read(name)
  local raw = redis.call('GET', P .. name)
  if not raw then return {} end
  local over, writer, number, kind, at = raw:match('^(%d+):(%w+):(%d+):([=-])()')
  if not over then return {} end
  local note = {writer = writer, number = tonumber(number), over = tonumber(over)}
  if kind == '=' and note.over > now then note.value = raw:sub(at) end
  return note
end
local function write(name, over, by, value)
  local left = math.max(LATE, math.ceil((over - now) / 1000))
  redis.call('SET', P .. name, micros(over) .. ':' .. by .. ':' .. value, 'PX', micros(left))
end

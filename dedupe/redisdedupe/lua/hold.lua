-- Changes by a holder: part of start, note, finish and release, behind row.lua.

-- hold reads what matters of the row if the token holds it. Otherwise it returns nil and the answer: 1 if this very call
-- has been made before, 0 if the row is not the caller's any more. A started row that lapsed is still good for a late call.
local function hold(sum, token, nonce, late)
  local h = redis.call('HMGET', row_of(sum), 't', 'e', 'b', 'n', 'g', 'l', 'a', 's')
  local r = {t = h[1], e = h[2], b = h[3], n = h[4], g = h[5], l = h[6], a = h[7], s = h[8]}
  if r.n == nonce then return nil, 1 end
  if r.t ~= token or not (held(r) or late and r.b == '1') then return nil, 0 end
  return r
end

-- keep sees to it that the row is found when its window is over. The claim has given its keys a window and the slack, so
-- only an old one needs more.
local function keep(sum, r, over)
  if (r.s or '') == '' then redis.call('ZADD', OVER, micros(over), sum) end
  if now - num(r.a) > SLACK / 2 then
    local h = redis.call('HMGET', row_of(sum), 'o', 'i')
    outlive(sum, h[1], h[2], over)
  end
end

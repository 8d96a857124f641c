-- sweep removes what the retention no longer keeps, some jobs a call.
--
-- KEYS[1] prefix
-- ARGV[2] how long delivered jobs are kept, in µs
-- ARGV[3] how long dead ones are, in µs
-- ARGV[4] how many bytes of delivered bodies are kept, -1: all
-- ARGV[5] how many jobs to remove
--
-- Returns {how many jobs were removed or lost their body, how many bytes of delivered bodies are left}. A second run goes
-- on where the first ended.
local limit = tonumber(ARGV[5])
local done = 0
local bytes = tonumber(call('GET', P .. 'bytes') or 0)

local function remove(over, name, age)
  for _, id in ipairs(call('ZRANGEBYSCORE', P .. over, '-inf', now - age, 'LIMIT', 0, limit - done)) do
    local v = call('HMGET', P .. 'job:' .. id, 'l', 'z')
    if v[1] then call('ZREM', P .. name .. agentof(v[1]), id) end
    if over == 'over:done' then bytes = bytes - tonumber(v[2] or 0) end
    call('DEL', P .. 'job:' .. id)
    call('ZREM', P .. over, id)
    done = done + 1
  end
end

-- strip removes the oldest bodies until the rest is within the bound.
local function strip(most)
  while bytes > most and done < limit do
    local v = call('ZRANGE', P .. 'over:done', 0, 0, 'WITHSCORES')
    if #v == 0 then
      bytes = 0
      return
    end
    local job = P .. 'job:' .. v[1]
    bytes = bytes - tonumber(call('HGET', job, 'z') or 0)
    if call('HDEL', job, 'b') == 1 then
      -- A hash that has had a long value stays large. Made anew without it, it takes a quarter of the memory.
      call('HSET', job, 'z', 0)
      local fields = call('HGETALL', job)
      call('DEL', job)
      call('HSET', job, unpack(fields))
    end
    call('ZREM', P .. 'over:done', v[1])
    call('ZADD', P .. 'over:bare', v[2], v[1])
    done = done + 1
  end
end

ended()
remove('over:done', 'done:', tonumber(ARGV[2]))
remove('over:bare', 'done:', tonumber(ARGV[2]))
remove('over:dead', 'dead:', tonumber(ARGV[3]))
if tonumber(ARGV[4]) >= 0 then strip(tonumber(ARGV[4])) end
bytes = math.max(0, bytes)
if bytes == 0 then call('DEL', P .. 'bytes') else call('SET', P .. 'bytes', micros(bytes)) end
return {done, bytes}

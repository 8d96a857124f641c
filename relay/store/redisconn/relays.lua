-- Notes that a relay runs, or that it ends, and counts those that run.
-- KEYS[1] a sorted set: the relays by when they were last here, in µs
-- ARGV[2] 'here', 'gone' or 'count', ARGV[3] the relay
-- Returns how many were here in the last five seconds. Those of which nothing was heard for a minute are removed.
if ARGV[2] == 'here' then
  redis.call('ZADD', KEYS[1], now, ARGV[3])
  redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - 60000000)
elseif ARGV[2] == 'gone' then
  redis.call('ZREM', KEYS[1], ARGV[3])
end
return redis.call('ZCOUNT', KEYS[1], now - 5000000, '+inf')

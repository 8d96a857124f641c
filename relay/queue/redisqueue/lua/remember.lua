-- remember makes keys known as those of our own messages.
--
-- KEYS[1] prefix
-- ARGV[2] how long Redis keeps a sighting, in ms
-- ARGV[3] and on: sums
--
-- Returns nothing. A second run finds the same said already.
for i = 3, #ARGV do
  redis.call('SET', KEYS[1] .. 'seen:' .. ARGV[i], stamp .. ' -', 'PX', ARGV[2])
end

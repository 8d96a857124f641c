-- accounts looks up on which accounts a conversation is known, and changes nothing.
--
-- KEYS[1] prefix
-- ARGV[2] conversation
--
-- Returns "<account>\0<agent>", as they stand in lanes, for each lane that ever had a job.
local reply, c = {}, ARGV[2] .. '\0'
for _, v in ipairs(redis.call('ZRANGEBYLEX', KEYS[1] .. 'known', '[' .. c, '(' .. ARGV[2] .. '\1')) do
  reply[#reply + 1] = v:sub(#c + 1)
end
return reply

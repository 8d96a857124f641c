-- exportchats hands out some of the known chats, and changes nothing.
--
-- KEYS[1] prefix
-- ARGV[2] what to go on after: the last one of before, '' at first
-- ARGV[3] how many
--
-- Returns "<conversation>\0<account>\0<agent>" for each, with account and agent as they stand in lanes; agent may be empty.
return call('ZRANGEBYLEX', P .. 'known', ARGV[2] == '' and '-' or '(' .. ARGV[2], '+', 'LIMIT', 0, ARGV[3])

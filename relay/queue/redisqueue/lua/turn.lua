-- turn notes that a send reached a conversation, which ends a turn if an event had begun one. What put finds in
-- talk:<chat> afterwards is '1' while a turn is open, and else, once the conversation has had its last turn,
-- "0 <until when that counts> <how long the pause is> <reason>".
--
-- KEYS[1] prefix
-- ARGV[2] conversation: "<account>/<conversation>"
-- ARGV[3] how many turns it may have
-- ARGV[4] within how many µs
-- ARGV[5] for how many µs it is paused then
-- ARGV[6] reason of that
--
-- Returns 1 if that ended a turn, else 0. A second run finds the turn ended, unless an event came in between: then the send
-- counts twice.
local talk, turns, most, window = P .. 'talk:' .. ARGV[2], P .. 'turns:' .. ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
if call('GET', talk) ~= '1' then return 0 end
local px = math.ceil(window / 1000) + 60000
local n = call('RPUSH', turns, micros(now))
if n > most then
  call('LTRIM', turns, -most, -1)
  n = most
end
call('PEXPIRE', turns, px)
local till = n == most and tonumber(call('LINDEX', turns, 0)) + window or 0
if till > now then
  call('SET', talk, '0 ' .. micros(till) .. ' ' .. ARGV[5] .. ' ' .. ARGV[6], 'PX', px)
else
  call('DEL', talk)
end
return 1

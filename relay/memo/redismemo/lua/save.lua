-- save keeps a value, or forgets it.
--
-- KEYS[1]  prefix of the shard
-- ARGV     2 name of the key, 3 writer, 4 number of the save among those of the writer, 5 for how many microseconds,
--          6 "=" and the value, or "-": forget it
-- returns  1, or 0: this save, or a later one of the same writer, was made already
--
-- The same call changes nothing, and one that Redis gets late does not undo what its writer has saved since.
local note = read(ARGV[2])
if note.writer == ARGV[3] and note.number >= tonumber(ARGV[4]) then return 0 end
write(ARGV[2], now + tonumber(ARGV[5]), ARGV[3] .. ':' .. ARGV[4], ARGV[6])
return 1

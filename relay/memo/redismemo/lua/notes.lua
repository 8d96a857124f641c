-- notes returns notes, for an export.
--
-- KEYS[1]  prefix of the shard
-- ARGV     2 how many bytes of values are enough, 3 and on: names of keys
-- returns  how many names were looked at, at least one; then for each note that there is: name, over, value
local out, size, i = {0}, 0, 3
repeat
  local note = read(ARGV[i])
  if note.value then
    out[#out + 1] = ARGV[i]
    out[#out + 1] = micros(note.over)
    out[#out + 1] = note.value
    size = size + #note.value
  end
  i = i + 1
until i > #ARGV or size >= tonumber(ARGV[2])
out[1] = i - 3
return out

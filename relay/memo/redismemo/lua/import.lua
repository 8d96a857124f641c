-- import stores notes of another store. One that is there already is passed over, and so is one whose time is over.
--
-- KEYS[1]  prefix of the shard
-- ARGV     for each note from 2 on: name of the key, over in microseconds, "=" and the value
-- returns  how many were stored
--
-- The same call finds its notes there.
local stored = 0
for i = 2, #ARGV, 3 do
  local over = tonumber(ARGV[i + 1])
  if over > now and not read(ARGV[i]).value then
    write(ARGV[i], over, 'import:0', ARGV[i + 2])
    stored = stored + 1
  end
end
return stored

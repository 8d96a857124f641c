-- pause holds the lanes of an agent or of a conversation. Leased lanes are let finish.
--
-- KEYS[1] prefix
-- ARGV[2] nonce of the call
-- ARGV[3] scope: "a/<agent>" or "c/<account>/<conversation>"
-- ARGV[4] for how many µs, 0: until resume
-- ARGV[5] reason
--
-- Returns {}. A second run with the nonce does nothing.
if once(ARGV[2]) then return {} end
local length = tonumber(ARGV[4])
hold(ARGV[3], length > 0 and now + length or 0, ARGV[5])
return keep(ARGV[2], {})

-- importpause takes a pause of another store over, unless the scope is paused already or the pause is over.
--
-- KEYS[1] prefix
-- ARGV[2] scope: "a/<agent>" or "c/<account>/<conversation>"
-- ARGV[3] its end in µs, 0: it has none
-- ARGV[4] reason
--
-- Returns nothing.
local scope, till = ARGV[2], tonumber(ARGV[3])
if call('HEXISTS', P .. 'pauses', scope) == 0 and (till == 0 or till > now) then hold(scope, till, ARGV[4]) end

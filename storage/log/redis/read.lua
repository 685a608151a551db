#!lua flags=no-writes
-- Reads a stretch of a room's log together with what the room's state says of it, as of one moment.
--
-- KEYS  1 the room's log (stream)
--       2 the room's state (hash)
-- ARGV  1 "after" or "before"
--       2 a position that does not belong to the stretch; "": from the beginning, or from the end
--       3 the most entries
-- Reply {top, floor, entries}; top and floor false where there are none; entries oldest first after a position,
--       newest first before one, each {position, {"t", accepted ms, "e", event}}
local known = redis.call('HMGET', KEYS[2], 'top', 'floor')
local limit = ARGV[2] ~= '' and '(' .. ARGV[2]
local entries
if ARGV[1] == 'after' then
  entries = redis.call('XRANGE', KEYS[1], limit or '-', '+', 'COUNT', ARGV[3])
else
  entries = redis.call('XREVRANGE', KEYS[1], limit or '+', '-', 'COUNT', ARGV[3])
end
local floor = known[2]
-- A log that somebody deleted is not a room without a past.
if known[1] and #entries == 0 and redis.call('XLEN', KEYS[1]) == 0 then
  floor = known[1]
end
return {known[1], floor, entries}

#!lua flags=allow-oom
-- Takes away the log of a room in which nothing has happened for long; all of it is stored. Its state stays, so that
-- positions go on where they stood.
--
-- KEYS  1 the shard's rooms that have a log (sorted set)
--       2 the room's log (stream)
--       3 the room's state (hash)
-- ARGV  1 room id
--       2 the room rests if nothing of it was trimmed since, ms
-- Reply the number of entries that went
local trimmedMs = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not trimmedMs or tonumber(trimmedMs) > tonumber(ARGV[2]) then
  return 0
end
local known = redis.call('HMGET', KEYS[3], 'top', 'persisted')
if known[1] and known[1] ~= known[2] then
  -- Its newest entries are still in the shard's log; trimming them brings the room here again.
  redis.call('ZREM', KEYS[1], ARGV[1])
  return 0
end
local entries = redis.call('XLEN', KEYS[2])
redis.call('DEL', KEYS[2])
if known[1] then
  redis.call('HSET', KEYS[3], 'floor', known[1])
end
redis.call('ZREM', KEYS[1], ARGV[1])
return entries

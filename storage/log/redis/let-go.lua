#!lua flags=allow-oom
-- Lets entries of a shard's log go that a member of a consumer group has in hand. See take.lua.
--
-- KEYS  1 the shard's log (stream)
--       2 the shard's lease for the group (string: the holder's token)
-- ARGV  1 "ack": they are done with. "release": they come again. "leave": all come again, and the member is forgotten.
--         "hold": keep them, and the lease longer
--       2 group
--       3 member
--       4 the member's token
--       5 how long the lease is from now, ms (hold)
--       6 ... the ids (ack, release), at most 1,000
-- Reply 1: the shard is still in the member's hands, 0: it is not
local shard, lease = KEYS[1], KEYS[2]
local how, group, member = ARGV[1], ARGV[2], ARGV[3]

local holds = redis.call('GET', lease) == ARGV[4]
if how == 'hold' then
  return holds and redis.call('PEXPIRE', lease, ARGV[5]) or 0
end
-- The group is gone where the server came back empty: then there is nothing to let go.
if how == 'ack' then
  local acked = redis.pcall('XACK', shard, group, unpack(ARGV, 6))
  if type(acked) == 'table' then
    return acked
  end
elseif how == 'release' and holds then
  local ids = {unpack(ARGV, 6)}
  ids[#ids + 1] = 'JUSTID'
  redis.pcall('XCLAIM', shard, group, '-', 0, unpack(ids))
elseif how == 'leave' and holds then
  repeat
    local page = redis.pcall('XPENDING', shard, group, '-', '+', 1000, member)
    local ids = {}
    for at, entry in ipairs(page) do
      ids[at] = entry[1]
    end
    if #ids > 0 then
      ids[#ids + 1] = 'JUSTID'
      redis.call('XCLAIM', shard, group, '-', 0, unpack(ids))
    end
  until #page < 1000
end
local left = redis.pcall('XPENDING', shard, group, '-', '+', 1, member)
if #left > 0 then
  return holds and 1 or 0
end
if holds then
  redis.call('DEL', lease)
end
if how == 'leave' then
  redis.pcall('XGROUP', 'DELCONSUMER', shard, group, member)
end
return 0

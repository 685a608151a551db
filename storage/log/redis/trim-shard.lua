#!lua flags=allow-oom
-- Takes away the front of a shard's log, and of the logs of rooms whose entries stood in it. Doing it twice, or from two
-- workers at once, is harmless. See trim-plan.lua.
--
-- KEYS  1 the shard's log (stream)
--       2 the shard's rooms that have a log (sorted set: room id, when something of the room was last trimmed, ms)
--       3, 4 ... log and state of each room
-- ARGV  1 first id of the shard's log to keep
--       2 entries that a room's log keeps although all are stored
--       3, 4 ... id of each room, its last position that is stored
-- Reply the number of entries that left rooms' logs
local keep = tonumber(ARGV[2])

local function parse(position)
  local epoch, seq = string.match(position, '^(%d+)-(%d+)$')
  return tonumber(epoch), tonumber(seq)
end

local function isBefore(a, b)
  local aEpoch, aSeq = parse(a)
  local bEpoch, bSeq = parse(b)
  return aEpoch < bEpoch or (aEpoch == bEpoch and aSeq < bSeq)
end

local time = redis.call('TIME')
local nowMs = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
local gone = 0
for at = 3, #ARGV, 2 do
  local log, state, room, stored = KEYS[at], KEYS[at + 1], ARGV[at], ARGV[at + 1]
  local known = redis.call('HMGET', state, 'top', 'floor', 'persisted')
  if known[1] then
    if not known[3] or isBefore(known[3], stored) then
      redis.call('HSET', state, 'persisted', stored)
    end
    redis.call('ZADD', KEYS[2], nowMs, room)
    local length = redis.call('XLEN', log)
    if length > keep then
      -- The newest position to let go. Positions count without holes inside an epoch, so it is known without a look.
      local epoch, seq = parse(known[1])
      local cut
      if seq >= keep then
        cut = string.format('%.0f-%.0f', epoch, seq - keep)
      else
        local oldest = redis.call('XREVRANGE', log, '+', '-', 'COUNT', keep + 1)[keep + 1]
        cut = oldest and oldest[1]
      end
      if cut and isBefore(stored, cut) then
        cut = stored
      end
      if cut and not (known[2] and not isBefore(known[2], cut)) then
        local cutEpoch, cutSeq = parse(cut)
        gone = gone + redis.call('XTRIM', log, 'MINID', string.format('%.0f-%.0f', cutEpoch, cutSeq + 1))
        redis.call('HSET', state, 'floor', cut)
      end
    end
  end
end
redis.call('XTRIM', KEYS[1], 'MINID', ARGV[1])
return gone

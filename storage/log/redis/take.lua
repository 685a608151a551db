#!lua flags=allow-oom
-- Hands entries of a shard's log to a member of a consumer group, if no other member has entries of the shard in hand.
--
-- A shard is in the hands of one member at a time, so a room's entries stay in order however many members there are:
--
--     not delivered ──XREADGROUP──► pending, member ──XACK──► done
--                                     │       ▲
--                          let-go.lua ▼       │ XCLAIM, the delivery counter rises
--                                   pending, "-"
--
-- The lease says whose hands. It ends when the member has let everything go, or runs out when the member is gone; then
-- all that is pending is free. Allowed when Redis is out of memory: this is what ends that.
--
-- KEYS  1 the shard's log (stream)
--       2 the shard's lease for the group (string: the holder's token)
-- ARGV  1 group
--       2 member (the consumer's name in the group)
--       3 the member's token: its name, "/", a UUID
--       4 how long the lease is, ms
--       5 the most entries, at most 1,000
--       6 "1": the member does not know what it holds here, so take it for free too
-- Reply {"busy"} another member has entries of the shard in hand
--       {"ok", entries, end}; each entry {id, attempts, {field, value, ...}}; end: the id after which nothing was there to
--       hand out, false where there may be more
local shard, lease = KEYS[1], KEYS[2]
local group, member, token = ARGV[1], ARGV[2], ARGV[3]
local wanted = tonumber(ARGV[5])

local holder = redis.call('GET', lease)
-- Names are unique in a group: a holder of the same name is this member before it was started again, and need not be waited for.
if holder and holder ~= token and string.sub(holder, 1, -38) ~= member then
  return {'busy'}
end
-- What is pending is in nobody's hands, as far as this member knows.
local fresh = holder ~= token or ARGV[6] == '1'
local summary = redis.pcall('XPENDING', shard, group)
if summary['err'] then
  if not string.find(summary['err'], 'NOGROUP', 1, true) then
    return summary
  end
  -- A new log, or a server that came back empty.
  redis.call('XGROUP', 'CREATE', shard, group, '0', 'MKSTREAM')
  summary = {0}
end

local taken = {}
local more = false
if summary[1] > 0 then
  if fresh then
    local cursor = '0-0'
    repeat
      -- JUSTID leaves the delivery counter as it is.
      cursor = redis.call('XAUTOCLAIM', shard, group, '-', 0, cursor, 'COUNT', 1000, 'JUSTID')[1]
    until cursor == '0-0'
  end
  local free = redis.call('XPENDING', shard, group, '-', '+', wanted, '-')
  if #free > 0 then
    local attempts, ids = {}, {}
    for at, entry in ipairs(free) do
      ids[at] = entry[1]
      attempts[entry[1]] = entry[4] + 1
    end
    -- Entries that are not in the log any more are dropped by this.
    for _, entry in ipairs(redis.call('XCLAIM', shard, group, member, 0, unpack(ids))) do
      taken[#taken + 1] = {entry[1], attempts[entry[1]], entry[2]}
    end
    more = #free == wanted
  end
end
if not more and #taken < wanted then
  local read = redis.call('XREADGROUP', 'GROUP', group, member, 'COUNT', wanted - #taken, 'STREAMS', shard, '>')
  if read then
    for _, entry in ipairs(read[1][2]) do
      taken[#taken + 1] = {entry[1], 1, entry[2]}
    end
  end
end
if #taken > 0 then
  redis.call('SET', lease, token, 'PX', ARGV[4])
elseif fresh then
  redis.call('DEL', lease)
end
if more or #taken == wanted then
  return {'ok', taken, false}
end
local last = redis.call('XREVRANGE', shard, '+', '-', 'COUNT', 1)
return {'ok', taken, last[1] and last[1][1] or '0-0'}

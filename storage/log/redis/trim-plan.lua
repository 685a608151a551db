#!lua flags=no-writes
-- Finds what the front of a shard's log holds that nobody needs any more. trim-shard.lua takes it away.
--
-- KEYS  1 the shard's log (stream)
-- ARGV  1 entries younger than this are kept whoever has acknowledged them, ms
--       2 entries older than this are not kept for group hot-words, ms
--       3 the most entries to look at
-- Reply {first id to keep, entries before it, of these not read by group hot-words, rooms}; rooms: {room id, position, ...}
--       with the last position of each room that is before it. {} where there is nothing to trim
local shard = KEYS[1]

local function isBefore(a, b)
  local aMs, aSeq = string.match(a, '^(%d+)-(%d+)$')
  local bMs, bSeq = string.match(b, '^(%d+)-(%d+)$')
  aMs, bMs = tonumber(aMs), tonumber(bMs)
  return aMs < bMs or (aMs == bMs and tonumber(aSeq) < tonumber(bSeq))
end

local groups = redis.pcall('XINFO', 'GROUPS', shard)
local done = {}
for _, group in ipairs(groups) do
  local field = {}
  for at = 1, #group, 2 do
    field[group[at]] = group[at + 1]
  end
  -- The first id that the group may still need.
  local ms, seq = string.match(field['last-delivered-id'], '^(%d+)-(%d+)$')
  local first = ms .. '-' .. string.format('%.0f', tonumber(seq) + 1)
  if field['pending'] > 0 then
    first = redis.call('XPENDING', shard, field['name'])[2]
  end
  done[field['name']] = first
end
if not done['persist'] then
  return {}
end
local time = redis.call('TIME')
local nowMs = time[1] * 1000 + math.floor(time[2] / 1000)
local first = done['persist']
local words = done['hot-words']
if words then
  local kept = string.format('%.0f-0', nowMs - tonumber(ARGV[2]))
  local needed = isBefore(words, kept) and kept or words
  first = isBefore(needed, first) and needed or first
end
local young = string.format('%.0f-0', nowMs - tonumber(ARGV[1]) + 1)
first = isBefore(young, first) and young or first

local entries = redis.call('XRANGE', shard, '-', '(' .. first, 'COUNT', ARGV[3])
if #entries == 0 then
  return {}
end
if #entries == tonumber(ARGV[3]) then
  -- There may be more: keep what was not looked at.
  local ms, seq = string.match(entries[#entries][1], '^(%d+)-(%d+)$')
  first = ms .. '-' .. string.format('%.0f', tonumber(seq) + 1)
end
local positions, rooms, unread = {}, {}, 0
for _, entry in ipairs(entries) do
  local field = {}
  for at = 1, #entry[2], 2 do
    field[entry[2][at]] = entry[2][at + 1]
  end
  if field['r'] and field['p'] and string.match(field['p'], '^%d+-%d+$') then
    if not positions[field['r']] then
      rooms[#rooms + 1] = field['r']
    end
    positions[field['r']] = field['p']
  end
  if words and not isBefore(entry[1], words) then
    unread = unread + 1
  end
end
local flat = {}
for _, room in ipairs(rooms) do
  flat[#flat + 1] = room
  flat[#flat + 1] = positions[room]
end
return {first, #entries, unread, flat}

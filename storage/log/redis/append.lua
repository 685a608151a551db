#!lua
-- Appends one entry to a room's log: everything is checked first and written last, because Lua takes nothing back.
--
-- Without flags: where Redis is out of memory it refuses before this starts, so no append is ever cut in half.
--
-- KEYS  1 the room's log (stream)
--       2 the room's state (hash: run, top, floor, final, persisted)
--       3 the log of the room's shard, which the workers consume (stream)
--       4 what recognises a repetition (string: "<position> <accepted ms> <digest>"); left out: never a repetition
-- ARGV  1 incarnation of the server that the caller is connected to: "<run_id>:<master_replid>"; "": ask the server (on a
--         cluster; some 6 µs)
--       2 room id
--       3 the room's channel
--       4 the event's bytes
--       5 "1": the room's final entry
--       6 the most entries that group persist may be behind by, in this shard
--       7 the most entries in the shard's log, whoever is behind
--       8 the newest position that the history has of the room; "": none; "?": not asked
--       9 the greatest epoch that the caller has seen
--      10 the newest position of the room that the caller has seen; "": none
--      11 digest of the content, 12 how long a repetition is recognised, ms (with KEYS 4)
-- Reply {"ok", position, accepted ms, followers reached on this node; -1: the publish was refused}
--       {"duplicate", position, accepted ms}   the first of what is repeated here
--       {"reused"}                             the key is known for another content
--       {"closed"}                             the final entry was appended before
--       {"full", entries not stored}
--       {"unknown"}                            nothing is known of the room: come again with ARGV 8
local log, state, shard, once = KEYS[1], KEYS[2], KEYS[3], KEYS[4]

-- Repetitions first: who repeats what was accepted gets its position, also when the room has closed or the log is full.
if once then
  local first = redis.call('GET', once)
  if first then
    local position, acceptedMs, digest = string.match(first, '^(%S+) (%d+) (.*)$')
    if digest ~= ARGV[11] then
      return {'reused'}
    end
    return {'duplicate', position, acceptedMs}
  end
end

local known = redis.call('HMGET', state, 'run', 'top', 'final')
local newest = known[2]
if not newest then
  if ARGV[8] == '?' then
    return {'unknown'}
  end
  newest = ARGV[8] ~= '' and ARGV[8] or false
end
if known[3] then
  return {'closed'}
end

-- XLEN counts more than what is not stored, and costs next to nothing; only at the limit is it counted exactly. It also
-- fails here, before anything is written, where the key holds something else.
local entries = redis.call('XLEN', shard)
local unstoredMax = tonumber(ARGV[6])
if entries >= unstoredMax then
  local unstored = entries
  for _, group in ipairs(redis.call('XINFO', 'GROUPS', shard)) do
    local field = {}
    for at = 1, #group, 2 do
      field[group[at]] = group[at + 1]
    end
    if field['name'] == 'persist' and field['lag'] then
      unstored = field['lag'] + field['pending']
    end
  end
  if unstored >= unstoredMax or entries >= tonumber(ARGV[7]) then
    return {'full', unstored}
  end
end

local time = redis.call('TIME')
local nowMs = time[1] * 1000 + math.floor(time[2] / 1000)

local run = ARGV[1]
if run == '' then
  local info = redis.call('INFO', 'server', 'replication')
  run = string.match(info, 'run_id:(%x+)') .. ':' .. string.match(info, 'master_replid:(%x+)')
end

local event = ARGV[4]
local epoch, seq
if newest then
  local newestEpoch, newestSeq = string.match(newest, '^(%d+)-(%d+)$')
  epoch, seq = tonumber(newestEpoch), tonumber(newestSeq) + 1
end
-- The fence. Another life of the server, or another server in its place, may have come back without its last entries, and a
-- room that is not known may have been there before: positions that were given then must not be given again.
if known[1] ~= run then
  -- What was there before is written down with the first entry of an epoch, for readers who come later: a server that lost
  -- its last entries does not know of them, the caller may (`endBefore` in log-event.ts reads it; a field of the event in the
  -- proto codec: number 1000, length-delimited).
  local before = newest
  local seenEpoch, seenSeq = string.match(ARGV[10], '^(%d+)-(%d+)$')
  if seenEpoch then
    seenEpoch, seenSeq = tonumber(seenEpoch), tonumber(seenSeq)
    if not newest or seenEpoch > epoch or (seenEpoch == epoch and seenSeq >= seq) then
      before = ARGV[10]
    end
  end
  if before then
    event = event .. '\194\62' .. string.char(#before) .. before
  end
  epoch = math.max(nowMs, (epoch or 0) + 1, (seenEpoch or 0) + 1, tonumber(ARGV[9]) + 1)
  seq = 0
end
local position = string.format('%.0f-%.0f', epoch, seq)
local accepted = string.format('%.0f', nowMs)

-- What an ACL denies would fail after other things were written. Asking costs 0.2 us each (7.0.15).
local denied = not redis.acl_check_cmd('XADD', shard, '*', 'r', '') and 'XADD'
  or not redis.acl_check_cmd('HSET', state, 'run', '') and 'HSET'
  or once and not redis.acl_check_cmd('SET', once, '', 'PX', '1') and 'SET'
if denied then
  return redis.error_reply('NOPERM this user may not run ' .. denied .. ' on the keys of a room')
end

-- The position is written out instead of leaving seq to Redis (`<epoch>-*`): a log that lost entries which its state still
-- knows of must not count from 0 again. Where the key holds something else, or later entries, this fails before all others.
redis.call('XADD', log, position, 't', accepted, 'e', event)
redis.call('XADD', shard, '*', 'r', ARGV[2], 'p', position, 't', accepted, 'e', event)
redis.call('HSET', state, 'run', run, 'top', position)
if ARGV[5] == '1' then
  redis.call('HSET', state, 'final', '1')
end
if not known[2] and newest then
  redis.call('HSET', state, 'floor', newest, 'persisted', newest)
end
if once then
  redis.call('SET', once, position .. ' ' .. accepted .. ' ' .. ARGV[11], 'PX', ARGV[12])
end
-- Not `call`: the entry is in the log, and followers find there what they were not told.
local reached = redis.pcall('SPUBLISH', ARGV[3], position .. ' ' .. accepted .. ' ' .. event)
return {'ok', position, accepted, type(reached) == 'number' and reached or -1}

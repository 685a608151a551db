-- Counts the different users of each word of a room, exactly; embedded-hot-words.ts explains the counting. This text is
-- run under two headers: `#!lua` to observe, which is refused when Redis is out of memory, and `#!lua flags=allow-oom` to
-- ask, which only makes room.
--
-- A use is (word, user), as the member word .. "\0" .. user.
--
-- KEYS  1 own     zset   uses of the word itself, score: when last, ms
--       2 all     zset   uses of the word or a form of it, score: when last, ms
--       3 owners  hash   word -> uses in own
--       4 users   hash   word -> uses in all
--       5 stems   hash   word -> its stem, while somebody uses the word itself
--       6 forms   zset   stem .. "\0" .. word, as stems the other way round; scores 0, read in the order of bytes
--       7 rank    zset   word, score: -users; equal scores stand in the order of bytes, in UTF-8 that of code points
-- ARGV  1 "observe" or "top"
--       2 now, or when the message was accepted, ms; "": the server's clock
--       3 the window, ms
--       4 the most uses to forget in one call
--       observe: 5 user, 6 the most uses, 7 ms after which the keys go if nothing is observed, 8 ... word, stem ("": none)
--       top: 5 the most words
-- Reply observe: the number of uses forgotten before their time, because there were too many
--       top: {1 if there is more to forget: come again, else 0, {word, -users, ...}}
local own, all, owners, users, stems, forms, rank = unpack(KEYS)
local atMs = ARGV[2]
if atMs == '' then
  local time = redis.call('TIME')
  atMs = time[1] * 1000 + math.floor(time[2] / 1000)
end
local throughMs = string.format('%.0f', atMs - ARGV[3])

--- Words whose place may have changed.
local touched = {}

local function formsOf(word)
  local list = redis.call('ZRANGEBYLEX', forms, '[' .. word .. '\0', '(' .. word .. '\1')
  for at, member in ipairs(list) do
    list[at] = string.sub(member, #word + 2)
  end
  return list
end

local function touchWithForms(word)
  touched[word] = true
  for _, form in ipairs(formsOf(word)) do
    touched[form] = true
  end
end

local function wordOf(member)
  return string.sub(member, 1, string.find(member, '\0', 1, true) - 1)
end

local function lower(hash, word)
  local left = redis.call('HINCRBY', hash, word, -1)
  if left == 0 then
    redis.call('HDEL', hash, word)
  end
  return left
end

local function endOwn(member)
  local word = wordOf(member)
  if lower(owners, word) == 0 then
    local stem = redis.call('HGET', stems, word)
    if stem then
      redis.call('HDEL', stems, word)
      redis.call('ZREM', forms, stem .. '\0' .. word)
    end
    touchWithForms(word)
  end
end

local function endUse(member)
  local word = wordOf(member)
  lower(users, word)
  touched[word] = true
end

local function expire(key, finish)
  local gone = redis.call('ZRANGEBYSCORE', key, '-inf', throughMs, 'LIMIT', 0, ARGV[4])
  if #gone > 0 then
    redis.call('ZREMRANGEBYRANK', key, 0, #gone - 1)
    for _, member in ipairs(gone) do
      finish(member)
    end
  end
  return #gone == tonumber(ARGV[4])
end

local function place()
  for word in pairs(touched) do
    local count = 0
    if redis.call('HEXISTS', owners, word) == 1 then
      local stem = redis.call('HGET', stems, word)
      if not stem or redis.call('HEXISTS', owners, stem) == 0 then
        count = tonumber(redis.call('HGET', users, word))
      end
    end
    if count > 0 then
      redis.call('ZADD', rank, -count, word)
    else
      redis.call('ZREM', rank, word)
    end
  end
end

local moreOwn = expire(own, endOwn)
local moreAll = expire(all, endUse)

if ARGV[1] == 'top' then
  place()
  return {(moreOwn or moreAll) and 1 or 0, redis.call('ZRANGE', rank, 0, ARGV[5] - 1, 'WITHSCORES')}
end

local function use(key, word)
  local member = word .. '\0' .. ARGV[5]
  -- GT: a late older entry moves nothing back.
  return redis.call('ZADD', key, 'GT', atMs, member) == 1
end

local function useAll(word)
  if use(all, word) then
    redis.call('HINCRBY', users, word, 1)
    touched[word] = true
  end
end

for at = 8, #ARGV, 2 do
  local word, stem = ARGV[at], ARGV[at + 1]
  if use(own, word) and redis.call('HINCRBY', owners, word, 1) == 1 then
    if stem ~= '' and stem ~= word then
      redis.call('HSET', stems, word, stem)
      redis.call('ZADD', forms, 0, stem .. '\0' .. word)
    end
    touchWithForms(word)
  end
  useAll(word)
  local known = redis.call('HGET', stems, word)
  if known then
    useAll(known)
  end
end

local over = redis.call('ZCARD', all) - tonumber(ARGV[6])
local dropped = 0
if over > 0 then
  for _, member in ipairs(redis.call('ZRANGE', all, 0, over - 1)) do
    redis.call('ZREM', all, member)
    endUse(member)
    if redis.call('ZREM', own, member) == 1 then
      endOwn(member)
    end
    dropped = dropped + 1
  end
end
place()
for _, key in ipairs(KEYS) do
  redis.call('PEXPIRE', key, ARGV[7])
end
return dropped

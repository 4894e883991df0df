-- The beginning of all scripts that count: their clock, which is this server's, and buckets of tokens.
--
-- Each key is a string of numbers, and ends when nothing is used up any more. Of a bucket it is the time at which it is full, in
-- nanoseconds since the epoch. Numbers here are exact up to 2^53: no span is longer, and the microseconds since the epoch are fewer
-- until 2255.
local time = redis.call('TIME')
local seconds, micros = tonumber(time[1]), tonumber(time[2])
local now = seconds * 1e6 + micros
-- Microseconds: what is further ahead than a clock that was set back by a minute explains is of no use.
local LAG = 60e6
local BUCKET, FIXED, LOG, SLIDING = 1, 2, 3, 4

-- Keeps a text for so many microseconds, if any.
local function keep(key, text, lasts)
  if lasts > 0 then
    redis.call('SET', key, text, 'PX', math.ceil(lasts / 1e3) + 1)
  else
    redis.call('DEL', key)
  end
end

-- Nanoseconds until a bucket is full.
local function lack_of(key)
  local full_at = redis.call('GET', key)
  if not full_at then
    return 0
  end
  local rest = tonumber(string.sub(full_at, -9)) - micros * 1e3
  return math.max(0, (tonumber(string.sub(full_at, 1, -10)) - seconds) * 1e9 + rest)
end

-- What is kept of a bucket that lacks so much, and for how long.
local function bucket_of(lack)
  local at = micros * 1e3 + lack
  return string.format('%.0f%09.0f', seconds + math.floor(at / 1e9), at % 1e9), lack / 1e3
end

-- Each way to count gives what is left then, the nanoseconds until all is there, what is kept for how long, and for how many
-- requests; or nothing, the nanoseconds until there is enough, and those until all is there.
local ways = {}

ways[BUCKET] = function(key, cost, interval, span, requests)
  local lack = lack_of(key)
  if lack > span + LAG * 1e3 then
    keep(key, bucket_of(span))
  end
  lack = math.min(lack, span)
  requests = math.min(requests, math.floor((span - lack) / (interval * cost)))
  if requests < 1 then
    return nil, lack + interval * cost - span, lack
  end
  lack = lack + interval * cost * requests
  local text, lasts = bucket_of(lack)
  return math.floor((span - lack) / interval), lack, text, lasts, requests
end


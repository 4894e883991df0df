-- The beginning of all scripts that count: their clock, which is this server's, and buckets of tokens.
--
-- Each key is a string of numbers, and ends when nothing is used up any more. Of a bucket it is the time at which it is full, in
-- nanoseconds since the epoch, and the second in which that was written. Numbers here are exact up to 2^53: no span is longer, and the microseconds since the epoch are fewer
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

-- What is kept of a bucket that lacks so much, and for how long.
local function bucket_of(lack)
  local at = micros * 1e3 + lack
  return string.format('%.0f%09.0f %.0f', seconds + math.floor(at / 1e9), at % 1e9, seconds), lack / 1e3
end

-- Nanoseconds until a bucket is full, and the second in which that was written. If the clock was set back since, as many as there were then.
local function lack_of(key)
  local kept = redis.call('GET', key)
  if not kept then
    return 0, seconds
  end
  -- Seconds have ten digits until 2286.
  local full_at, rest = tonumber(string.sub(kept, 1, 10)), tonumber(string.sub(kept, 11, 19))
  local kept_at = tonumber(string.sub(kept, 21)) or seconds
  if kept_at > seconds + LAG / 1e6 then
    local lack = (full_at - kept_at) * 1e9 + rest
    keep(key, bucket_of(lack))
    return lack, seconds
  end
  return math.max(0, (full_at - seconds) * 1e9 + rest - micros * 1e3), kept_at
end

-- The same for a limit of which a bucket may lack so much at most. Others may have emptied it further, or this limit had other numbers: when
-- nobody has done so for a while, it is just as empty as it can be.
local function lack_within(key, most)
  local lack, kept_at = lack_of(key)
  if lack > most and kept_at + LAG / 1e6 < seconds then
    keep(key, bucket_of(most))
    return most
  end
  return lack
end

-- What is said of the limit at a place, after the first number: how it is counted, what a request costs, and its numbers, of which the last
-- is that of how much it may lack or count at most, which is more where callers may owe.
local function limit_at(place)
  local at = 5 * place - 3
  return tonumber(ARGV[at]), tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
end

-- Each way to count gives what is left then, the nanoseconds until all is there, what is kept for how long, and for how many
-- requests; or nothing, the nanoseconds until there is enough, and those until all is there.
local ways = {}

ways[BUCKET] = function(key, cost, interval, span, most, requests)
  local lack = lack_within(key, most)
  requests = math.min(requests, math.floor((span - lack) / (interval * cost)))
  if requests < 1 then
    return nil, lack + interval * cost - span, lack
  end
  lack = lack + interval * cost * requests
  local text, lasts = bucket_of(lack)
  return math.floor((span - lack) / interval), lack, text, lasts, requests
end


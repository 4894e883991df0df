-- Windows of the clock, as scripts know them that count by them too.
--
-- Of one there is kept, in microseconds, when it ends, then the requests in it, and those in the one before. Of a log: when each
-- request came.

-- When the window of a moment ends.
local function end_of(moment, length)
  return (math.floor(moment / length) + 1) * length
end

-- When the current window ends, the requests in it, and those in the one before. One that has begun goes on if the clock is set back.
local function window_at(key, length)
  local kept, ends = redis.call('GET', key), end_of(now, length)
  if kept then
    local kept_end, current, before = string.match(kept, '(%d+) (%d+) (%d+)')
    kept_end, current, before = tonumber(kept_end), tonumber(current), tonumber(before)
    if kept_end >= ends and kept_end <= now + length + LAG then
      return kept_end, current, before
    elseif kept_end == ends - length then
      return ends, 0, current
    end
  end
  return ends, 0, 0
end

-- Requests of a sliding window matter until the one after it ends.
local function window_of(way, length, ends, current, before)
  local lasts = 0
  if way == FIXED then
    before = 0
  end
  if current > 0 and way == SLIDING then
    lasts = ends + length - now
  elseif current > 0 or before > 0 then
    lasts = ends - now
  end
  return string.format('%.0f %.0f %.0f', ends, current, before), lasts
end

-- When the requests came that count, the first of them first.
local function times_at(key, length)
  local times = {}
  for number in string.gmatch(redis.call('GET', key) or '', '%d+') do
    local came = tonumber(number)
    if came + length > now and came <= now + LAG then
      times[#times + 1] = math.min(came, now)
    end
  end
  return times
end

local function log_of(length, times)
  local texts = {}
  for place, came in ipairs(times) do
    texts[place] = string.format('%.0f', came)
  end
  return table.concat(texts, ' '), (times[#times] or now - length) + length - now
end

ways[FIXED] = function(key, cost, length, count)
  local ends, current = window_at(key, length)
  local full_in = (ends - now) * 1e3
  if current + cost > count then
    return nil, full_in, full_in
  end
  return count - current - cost, full_in, window_of(FIXED, length, ends, current + cost, 0)
end

ways[LOG] = function(key, cost, length, count)
  local times = times_at(key, length)
  local missing = #times + cost - count
  if missing > 0 then
    return nil, (times[missing] + length - now) * 1e3, (times[#times] + length - now) * 1e3
  end
  for _ = 1, cost do
    times[#times + 1] = now
  end
  return -missing, length * 1e3, log_of(length, times)
end

-- Of a number the share that `part` is of `whole`, rounded down; digit by digit where the product would be too large.
local function share(of, part, whole)
  if of * part < 2 ^ 53 then
    return math.floor(of * part / whole)
  end
  local quotient, rest = 0, 0
  for _, unit in ipairs({ 2 ^ 30, 2 ^ 15, 1 }) do
    rest = rest * 2 ^ 15 + math.floor(of / unit) % 2 ^ 15 * part
    quotient = quotient * 2 ^ 15 + math.floor(rest / whole)
    rest = rest % whole
  end
  return quotient
end

-- Of the window before, so much counts as of it is within one length, as if its requests had come evenly.
ways[SLIDING] = function(key, cost, length, count, most)
  local ends, current, before = window_at(key, length)
  local remaining = math.min(ends - now, length)
  -- There may be more of them than a stricter limit counts.
  local counted, weighed = math.min(current, most), math.min(before, most)
  local left = count - counted - (weighed - share(weighed, length - remaining, length))
  if left >= cost then
    return left - cost, (remaining + length) * 1e3, window_of(SLIDING, length, ends, current + cost, before)
  end
  -- There is enough when what remains of the window before is so short: in this window, or else in the next.
  local room, wait = count - counted - cost, nil
  if room >= 0 then
    wait = remaining - share(length, room, weighed)
  else
    wait = remaining + length - share(length, count - cost, counted)
  end
  return nil, wait * 1e3, (current > 0 and remaining + length or remaining) * 1e3
end


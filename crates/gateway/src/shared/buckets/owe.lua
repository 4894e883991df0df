-- Takes what requests have cost beyond what they took, also where it is not there, as far as callers may owe.
--
-- KEYS: what is kept of the limits. ARGV: when it was taken, which does not matter, then of each limit what it was, as for taking.
for place, key in ipairs(KEYS) do
  local way, cost, one, two, most = limit_at(place)
  if way == BUCKET then
    local lack = lack_of(key)
    keep(key, bucket_of(math.max(lack, math.min(lack + cost * one, most))))
  elseif way == LOG then
    -- Of more than there may be the newest count: until these have gone, the others would make no room. There may be more already, where
    -- another gateway has a looser limit.
    local times = times_at(key, one)
    local count = math.max(two, #times)
    for _ = 1, math.min(cost, two) do
      times[#times + 1] = now
    end
    keep(key, log_of(one, { unpack(times, math.max(1, #times - count + 1)) }))
  else
    local ends, current, before = window_at(key, one)
    current = math.max(current, math.min(current + cost, most))
    keep(key, window_of(way, one, ends, current, before))
  end
end
return #KEYS

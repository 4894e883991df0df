-- Puts back what was taken for nothing.
--
-- KEYS: what is kept of the limits. ARGV: when it was taken, which does not matter to buckets; then of each limit what it was, as when it
-- was taken.
local taken_at = tonumber(ARGV[1])
for place, key in ipairs(KEYS) do
  local way, cost, one = limit_at(place)
  if way == BUCKET then
    keep(key, bucket_of(lack_of(key) - cost * one))
  elseif way == LOG then
    local times = times_at(key, one)
    for number = #times, 1, -1 do
      if times[number] == taken_at and cost > 0 then
        table.remove(times, number)
        cost = cost - 1
      end
    end
    keep(key, log_of(one, times))
  else
    -- Of the window in which it was counted, if that matters still.
    local ends, current, before = window_at(key, one)
    local counted_until = end_of(taken_at, one)
    if ends == counted_until then
      current = math.max(0, current - cost)
    elseif ends == counted_until + one then
      before = math.max(0, before - cost)
    end
    keep(key, window_of(way, one, ends, current, before))
  end
end
return #KEYS

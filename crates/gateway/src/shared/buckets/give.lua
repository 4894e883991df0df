-- Puts tokens back that were taken for nothing. KEYS: the buckets. ARGV: of each how many tokens, and the nanoseconds between two.
local time = redis.call('TIME')
local seconds, rest = tonumber(time[1]), tonumber(time[2]) * 1000
for i, key in ipairs(KEYS) do
  local full_at = redis.call('GET', key)
  if full_at then
    local lack = (tonumber(string.sub(full_at, 1, -10)) - seconds) * 1e9 + tonumber(string.sub(full_at, -9)) - rest
    lack = lack - tonumber(ARGV[2 * i - 1]) * tonumber(ARGV[2 * i])
    if lack > 0 then
      local at = rest + lack
      full_at = string.format('%.0f%09.0f', seconds + math.floor(at / 1e9), at % 1e9)
      redis.call('SET', key, full_at, 'PX', math.ceil(lack / 1e6) + 1)
    else
      redis.call('DEL', key)
    end
  end
end
return #KEYS

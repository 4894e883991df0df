-- Takes tokens of all these buckets, or of none.
--
-- KEYS: the buckets. Each is one number, the time at which it is full, in nanoseconds since the epoch by the clock of this server; one
-- that is full is not kept. ARGV: how many tokens are wanted at most, then of each bucket the nanoseconds between two tokens and
-- those in which an empty one fills. None of them is 2^53 or more: numbers here are exact up to that.
--
-- Gives 0, the tokens that were taken, and of each bucket the nanoseconds until it is full; or the place of the first bucket without a
-- token, the nanoseconds until there is one, and those until it is full.
local time = redis.call('TIME')
local seconds, rest = tonumber(time[1]), tonumber(time[2]) * 1000
local tokens, lacks = tonumber(ARGV[1]), {}
for i, key in ipairs(KEYS) do
  local interval, span = tonumber(ARGV[2 * i]), tonumber(ARGV[2 * i + 1])
  local full_at, lack = redis.call('GET', key), 0
  if full_at then
    lack = (tonumber(string.sub(full_at, 1, -10)) - seconds) * 1e9 + tonumber(string.sub(full_at, -9)) - rest
    lack = math.max(0, math.min(lack, span))
  end
  if lack + interval > span then
    return { i, lack + interval - span, lack }
  end
  tokens = math.min(tokens, math.floor((span - lack) / interval))
  lacks[i] = lack
end
local answer = { 0, tokens }
for i, key in ipairs(KEYS) do
  local lack = lacks[i] + tokens * tonumber(ARGV[2 * i])
  local at = rest + lack
  local full_at = string.format('%.0f%09.0f', seconds + math.floor(at / 1e9), at % 1e9)
  redis.call('SET', key, full_at, 'PX', math.ceil(lack / 1e6) + 1)
  answer[i + 2] = lack
end
return answer

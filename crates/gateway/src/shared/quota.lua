-- Adds what a gateway has counted to what all have, and says how much that is.
--
-- KEYS: where it is kept. ARGV: who says it and the number of what is said, which is not added again where it was the last that this
-- gateway has said; what the gateway knew of, which a Redis that was begun anew may not; what it has counted since, what it has taken
-- back; and for how many seconds to keep it.
local used = tonumber(redis.call('HGET', KEYS[1], 'used') or 0)
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then
  used = math.max(math.max(used, tonumber(ARGV[3])) + tonumber(ARGV[4]) - tonumber(ARGV[5]), 0)
  redis.call('HSET', KEYS[1], 'used', string.format('%.0f', used), ARGV[1], ARGV[2])
  redis.call('EXPIRE', KEYS[1], ARGV[6])
end
return used

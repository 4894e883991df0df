-- Adds what a gateway has counted to what all have, and says how much that is. KEYS: where it is kept. ARGV: what the gateway knew of,
-- which a Redis that was begun anew may not, what it has counted since, what it has taken back, and for how many seconds to keep it.
local used = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), tonumber(ARGV[1]))
used = math.max(used + tonumber(ARGV[2]) - tonumber(ARGV[3]), 0)
redis.call('SET', KEYS[1], string.format('%.0f', used), 'EX', ARGV[4])
return used

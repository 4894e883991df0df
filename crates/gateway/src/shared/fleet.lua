-- Says that a gateway is there, and counts those that have said so in the last ten seconds. KEYS: where that is kept. ARGV: who it is.
--
-- What is kept comes first: a full server refuses a script at its first write, and never after that.
local now = tonumber(redis.call('TIME')[1])
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - 10)
redis.call('EXPIRE', KEYS[1], 60)
return redis.call('ZCARD', KEYS[1])

-- Takes what a request costs of all these limits, or of none.
--
-- KEYS: what is kept of the limits. ARGV: how many such requests there may be, which is one where it is not of one bucket only; then
-- of each limit how it is counted, what the request costs, and three numbers: of a bucket the nanoseconds between two tokens, those
-- in which an empty one fills, and those in which one fills that is as empty as can be; of windows the microseconds of one, its requests, and
-- those that it may have counted at most.
--
-- Gives 0, the time, how many requests may be made, and of each limit what is left and the nanoseconds until all is; or the place
-- of the first limit that has not enough, the nanoseconds until it has, and those until all is there.
local answer, kept = { 0, now, tonumber(ARGV[1]) }, {}
for place, key in ipairs(KEYS) do
  local way, cost, one, two, most = limit_at(place)
  local left, full_in, text, lasts, requests = ways[way](key, cost, one, two, most, answer[3])
  if not left then
    return { place, full_in, text }
  end
  answer[2 * place + 2], answer[2 * place + 3] = left, full_in
  kept[2 * place - 1], kept[2 * place] = text, lasts
  answer[3] = requests or answer[3]
end
for place, key in ipairs(KEYS) do
  keep(key, kept[2 * place - 1], kept[2 * place])
end
return answer

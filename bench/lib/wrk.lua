-- What wrk sends, by the environment: BENCH_BODY (a POST of so many bytes), BENCH_JSON (a POST of this file, JSON),
-- BENCH_CLOSE (a new connection for each request), BENCH_REFUSED (what is not refused is a fault), BENCH_PATHS (a file of paths, asked for in turn), BENCH_FIELDS (a file
-- with the fields of a request on each line, tabs between them, sent in turn: with one thread that is one turn for all
-- connections). Ends with one line of figures for load.py.
local body, json, close = os.getenv("BENCH_BODY"), os.getenv("BENCH_JSON"), os.getenv("BENCH_CLOSE")
local paths, fields = os.getenv("BENCH_PATHS"), os.getenv("BENCH_FIELDS")

if body then
  wrk.method = "POST"
  wrk.body = string.rep("x", tonumber(body))
end
if json then
  wrk.method = "POST"
  wrk.body = io.open(json):read("*a")
  wrk.headers["Content-Type"] = "application/json"
end
if close then
  wrk.headers["Connection"] = "close"
end
if paths or fields then
  -- Written out before the start: while wrk runs, a request is one look into a table.
  local requests, turn = {}, 0
  function init()
    if paths then
      for path in io.lines(paths) do
        requests[#requests + 1] = wrk.format("GET", path)
      end
    else
      local first, rest = wrk.format():match("^(.-\r\n)(.*)$")
      for line in io.lines(fields) do
        requests[#requests + 1] = first .. line:gsub("\t", "\r\n") .. "\r\n" .. rest
      end
    end
  end
  function request()
    turn = turn % #requests + 1
    return requests[turn]
  end
end

function done(summary, latency)
  local errors = summary.errors
  local wrong = os.getenv("BENCH_REFUSED") and summary.requests - errors.status or errors.status
  io.write(string.format(
    "BENCH requests=%d micros=%d p50=%d p99=%d status=%d connect=%d read=%d write=%d timeout=%d\n",
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    wrong, errors.connect, errors.read, errors.write, errors.timeout))
end

-- What wrk sends, by the environment: BENCH_BODY (a POST of so many bytes), BENCH_CLOSE (a new connection for each
-- request), BENCH_PATHS (a file of paths, asked for in turn). Ends with one line of figures for load.py.
local body, close, paths = os.getenv("BENCH_BODY"), os.getenv("BENCH_CLOSE"), os.getenv("BENCH_PATHS")

if body then
  wrk.method = "POST"
  wrk.body = string.rep("x", tonumber(body))
end
if close then
  wrk.headers["Connection"] = "close"
end
if paths then
  local requests, turn = {}, 0
  function init()
    for path in io.lines(paths) do
      requests[#requests + 1] = wrk.format("GET", path)
    end
  end
  function request()
    turn = turn % #requests + 1
    return requests[turn]
  end
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    "BENCH requests=%d micros=%d p50=%d p99=%d status=%d connect=%d read=%d write=%d timeout=%d\n",
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.status, errors.connect, errors.read, errors.write, errors.timeout))
end

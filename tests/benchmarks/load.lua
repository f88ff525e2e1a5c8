-- Load of one kind for wrk. Arguments: the method and a file; of a GET the file holds one path on
-- each line, taken in turn; of a POST it holds the path on its first line and the body behind it.
-- The token comes from the environment, where `ps` does not show it. Prints one line of JSON.
local requests, turn = {}, 0

function init(args)
  local method, file = args[1], io.open(args[2])
  local headers = {["Authorization"] = "Bearer " .. os.getenv("BENCH_TOKEN")}
  if method == "POST" then
    local path = file:read("*l")
    headers["Content-Type"] = "application/json"
    requests[1] = wrk.format(method, path, headers, file:read("*a"))
  else
    for path in file:lines() do
      requests[#requests + 1] = wrk.format(method, path, headers)
    end
  end
  file:close()
end

function request()
  turn = turn % #requests + 1
  return requests[turn]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"requests": %d, "seconds": %.6f, "p50_ms": %.3f, "p99_ms": %.3f, "errors": %d}\n',
    summary.requests, summary.duration / 1e6,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end

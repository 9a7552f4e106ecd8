-- For wrk: posts the lines of BODIES in turn, and says at the end how long that took, as JSON.
local bodies, at = {}, 0
for line in io.lines(os.getenv("BODIES")) do bodies[#bodies + 1] = line end
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
local threads = {}

function setup(thread)
  thread:set("degraded", 0)
  table.insert(threads, thread)
end

function request()
  at = at % #bodies + 1
  return wrk.format(nil, nil, nil, bodies[at])
end

function response(status, headers, body)
  if not string.find(body, '"degraded":[]', 1, true) then degraded = degraded + 1 end
end

function done(summary, latency, requests)
  local left_out = 0
  for _, thread in ipairs(threads) do left_out = left_out + thread:get("degraded") end
  local errors = summary.errors
  io.write(string.format(
    '\n{"p50_ms": %f, "p99_ms": %f, "requests": %d, "per_second": %f, "degraded": %d, "failed": %d}\n',
    latency:percentile(50) / 1000, latency:percentile(99) / 1000, summary.requests,
    summary.requests / (summary.duration / 1e6), left_out,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end

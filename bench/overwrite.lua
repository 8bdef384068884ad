-- What wrk sends: puts of 256-byte values to keys that are there, in an order without a pattern.
--   wrk ... -s overwrite.lua URL -- KEYS SEED      KEYS: how many there are; keys are those of steady.py
-- Prints one line of JSON at the end; times are in microseconds.

-- 256 bytes are 344 characters of base64, the last two of them padding.
local tail = '","value":"' .. string.rep("QUJD", 85) .. 'QQ=="}'

function init(args)
   keys = tonumber(args[1])
   math.randomseed(tonumber(args[2]))
   wrk.method = "POST"
   wrk.headers["Content-Type"] = "application/json"
end

function request()
   -- The product is below 2^53, so it is exact.
   local key = (math.random(0, keys - 1) * 48271) % 2147483647
   return wrk.format(nil, nil, nil, '{"key":"' .. string.format("%016x", key) .. tail)
end

function done(summary, latency, requests)
   local errors = summary.errors
   io.write(string.format(
      '\n{"requests":%d,"microseconds":%d,"refused":%d,"failed":%d,"p50":%d,"p99":%d,"max":%d}\n',
      summary.requests, summary.duration, errors.status,
      errors.connect + errors.read + errors.write + errors.timeout,
      latency:percentile(50), latency:percentile(99), latency.max))
end

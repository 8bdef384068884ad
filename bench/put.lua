-- What wrk sends: puts of 256-byte values, each under a key of its own.
--   wrk ... -s put.lua URL -- TAG      TAG: four base64 characters that no other wrk process uses
-- Prints one line of JSON at the end; times are in microseconds.

-- 256 bytes are 344 characters of base64, the last two of them padding.
local value = string.rep("QUJD", 85) .. "QQ=="

local threads = 0

function setup(thread)
   thread:set("number", threads)
   threads = threads + 1
end

function init(args)
   sent = 0
   -- Hexadecimal digits are base64 characters too, so a text of 16 of them, tag included, is the base64
   -- of a key of 12 bytes and nothing has to be encoded for each request.
   head = '{"key":"' .. args[1] .. string.format("%02x", number)
   tail = '","value":"' .. value .. '"}'
   wrk.method = "POST"
   wrk.headers["Content-Type"] = "application/json"
end

function request()
   sent = sent + 1
   return wrk.format(nil, nil, nil, head .. string.format("%010x", sent) .. tail)
end

function done(summary, latency, requests)
   local errors = summary.errors
   io.write(string.format(
      '\n{"requests":%d,"microseconds":%d,"refused":%d,"failed":%d,"p50":%d,"p99":%d,"max":%d}\n',
      summary.requests, summary.duration, errors.status,
      errors.connect + errors.read + errors.write + errors.timeout,
      latency:percentile(50), latency:percentile(99), latency.max))
end

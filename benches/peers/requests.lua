-- What wrk sends: requests made in `init` from a file of keys, one a line, and sent in its order,
-- over and over; each thread begins at another place. So a request costs the generator little, and
-- the same whoever answers. At the end it prints a line of figures.
--
-- Arguments: the file, the token, what comes before a key in the target, what comes after it. A
-- line may have a tag after the key and a space, for If-None-Match.

local threads = 0
function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end

local requests, place = {}, 0
function init(args)
  local keys, token, before, after = args[1], args[2], args[3], args[4] or ""
  for line in io.lines(keys) do
    local key, tag = line:match("^(%S*) ?(.*)$")
    local condition = tag ~= "" and "If-None-Match: " .. tag .. "\r\n" or ""
    requests[#requests + 1] = "GET " .. before .. key .. after ..
      " HTTP/1.1\r\nHost: edge\r\nAuthorization: Bearer " .. token .. "\r\n" .. condition .. "\r\n"
  end
  place = number * math.floor(#requests / 2)
end

function request()
  place = place % #requests + 1
  return requests[place]
end

function done(summary, latency)
  local errors = 0
  for _, count in pairs(summary.errors) do errors = errors + count end
  io.write(string.format("\nfigures %d %d %d %d %d\n", summary.requests, summary.duration, errors,
    summary.bytes, latency:percentile(99)))
end

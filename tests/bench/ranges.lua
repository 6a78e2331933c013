-- Ranges of a file, one behind the other, each thread from a place of its own. Arguments: the file's size, a range's.
local size, part, at

function init(args)
    size, part = tonumber(args[1]), tonumber(args[2])
    at = math.random(0, math.floor(size / part) - 1)
end

function request()
    local first = at * part
    at = (at + 1) % math.floor(size / part)
    return wrk.format("GET", nil, {["Range"] = string.format("bytes=%d-%d", first, first + part - 1), ["Host"] = wrk.headers["Host"]})
end

local report = loadfile((debug.getinfo(1, "S").source:sub(2):match("^(.*)/") or ".") .. "/report.lua")
report()

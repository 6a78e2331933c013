-- Polls of the fleet that growth.c fills, each of another device, which shows its own secret (secret_of there).
-- Arguments: threads; devices in the store; first, some: of which of them; how: "random" among those, or "next",
-- one behind the other; a seed.
local names = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
local threads, devices, first, some, how
local heads, groups, middle, tail = {}, {}, nil, nil
local at = 0
local made = 0

local function base64(text)
    return (text:gsub("..?.?", function(three)
        local a, b, c = three:byte(1, 3)
        local n = a * 65536 + (b or 0) * 256 + (c or 0)
        local out = ""
        for shift = 3, 0, -1 do
            local k = math.floor(n / 64 ^ shift) % 64 + 1
            out = out .. names:sub(k, k)
        end
        return out:sub(1, #three + 1) .. ("="):rep(3 - #three)
    end))
end

function setup(thread)
    thread:set("nth", made)
    made = made + 1
end

-- The texts before the digits are of so many bytes that three digits are four letters of base64, made once.
function init(args)
    threads, devices, first, some, how = tonumber(args[1]), tonumber(args[2]), tonumber(args[3]), tonumber(args[4]), args[5]
    math.randomseed(tonumber(args[6]) + nth)
    for i, version in ipairs({"1.0.0", "1.1.0", "0.9.0"}) do
        heads[i] = string.format("GET %s?version=%s HTTP/1.1\r\nHost: %s\r\nAuthorization: Basic %s", wrk.path, version,
            wrk.headers["Host"], base64("fleet/device-00"))
    end
    for i = 0, 999 do
        groups[i] = base64(string.format("%03d", i))
    end
    middle, tail = base64(":a-secret-of-00"), base64("-with-the-usual-length.") .. "\r\n\r\n"
end

-- A step that lies far away in the store; ids of six digits, so the last of a million is left out.
local function pick()
    local i = how == "random" and math.random(0, some - 1) or at * threads + nth
    at = at + 1
    return 1 + (first + i) * 7919 % (devices - 1)
end

function request()
    local id = pick()
    local high, low, rest = groups[math.floor(id / 1000)], groups[id % 1000], id % 10
    return heads[rest == 0 and 2 or rest == 1 and 3 or 1] .. high .. low .. middle .. high .. low .. tail
end

local report = loadfile((debug.getinfo(1, "S").source:sub(2):match("^(.*)/") or ".") .. "/report.lua")
report()

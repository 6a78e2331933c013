-- wrk's own summary rounds; this one counts.
function done(summary, latency, requests)
    local e = summary.errors
    io.write(string.format('\nRESULT {"bytes": %d, "requests": %d, "us": %d, "bad_status": %d, "bad_socket": %d}\n',
        summary.bytes, summary.requests, summary.duration, e.status, e.connect + e.read + e.write + e.timeout))
end

"""One run of wrk against a server, and what it cost both of them."""
import json
import subprocess
from typing import NamedTuple

from meter import Meter, children_cpu_s, share
from peers import CORES, HERE

GB = 1e9
HEAD_MAX = 1000


class Load(NamedTuple):
    """connections: kept open; size: bytes of each answer's body; script: of tests/bench, with a done() that prints RESULT;
    args: the script's."""
    connections: int
    size: int
    script: str = "report.lua"
    args: tuple = ()


def wrk(server, env, load, seconds):
    """GB and requests a second; CPU seconds a GB, and microseconds a request, of the server and of wrk itself; and how much of
    the machine all other programs used meanwhile. Every answer must be 2xx or 304, and whole."""
    meter = Meter(server=server.cpu_s, client=children_cpu_s)
    done = subprocess.run(["wrk", f"-t{CORES}", f"-c{load.connections}", f"-d{seconds}s", "--timeout", "10s",
                           "-s", str(HERE / load.script), server.url, "--", *map(str, load.args)],
                          env=env, capture_output=True, text=True, timeout=seconds + 60, check=True)
    used = meter.used()
    told = json.loads(done.stdout.split("RESULT ", 1)[1])
    assert told["bad_status"] == told["bad_socket"] == 0 and told["requests"] > 0, (server.name, told)
    whole = told["requests"] * load.size
    # heads, and what was under way at the end
    most = whole + told["requests"] * HEAD_MAX + load.connections * load.size
    assert whole <= told["bytes"] <= most, (server.name, told)
    gb, took_s = told["bytes"] / GB, told["us"] / 1e6
    return {"n": told["requests"], "bytes": told["bytes"], "rate": gb / took_s, "requests": told["requests"] / took_s,
            "cpu": used["server"] / gb, "client": used["client"] / gb, "cpu_us": used["server"] * 1e6 / told["requests"],
            "client_us": used["client"] * 1e6 / told["requests"], "others": share(used["others"], took_s)}

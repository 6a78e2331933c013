"""One run of wrk against a server, and what it cost both of them."""
import json
import resource
import subprocess
from typing import NamedTuple

from peers import CORES, HERE, machine_busy_s

GB = 1e9
HEAD_MAX = 1000


class Load(NamedTuple):
    """connections: kept open; size: bytes of each answer's body; script: of tests/bench, with a done() that prints RESULT;
    args: the script's."""
    connections: int
    size: int
    script: str = "report.lua"
    args: tuple = ()
    headers: tuple = ()


def children_cpu_s():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def headers_of(load):
    return [word for header in load.headers for word in ("-H", header)]


def wrk(server, env, load, seconds):
    """GB and requests a second; CPU seconds a GB, and microseconds a request, of the server and of wrk itself; and how much of
    the machine all other programs used meanwhile. Every answer must be 2xx or 304, and whole."""
    before, client_before, busy_before = server.cpu_s(), children_cpu_s(), machine_busy_s()
    done = subprocess.run(["wrk", f"-t{CORES}", f"-c{load.connections}", f"-d{seconds}s", "--timeout", "10s",
                           "-s", str(HERE / load.script), *headers_of(load), server.url, "--", *map(str, load.args)],
                          env=env, capture_output=True, text=True, timeout=seconds + 60, check=True)
    cpu_s, client_s = server.cpu_s() - before, children_cpu_s() - client_before
    others_s = max(0, machine_busy_s() - busy_before - cpu_s - client_s)
    told = json.loads(done.stdout.split("RESULT ", 1)[1])
    assert told["bad_status"] == told["bad_socket"] == 0 and told["requests"] > 0, (server.name, told)
    whole = told["requests"] * load.size
    # heads, and what was under way at the end
    most = whole + told["requests"] * HEAD_MAX + load.connections * load.size
    assert whole <= told["bytes"] <= most, (server.name, told)
    gb, took_s = told["bytes"] / GB, told["us"] / 1e6
    return {"n": told["requests"], "bytes": told["bytes"], "rate": gb / took_s, "requests": told["requests"] / took_s,
            "cpu": cpu_s / gb, "client": client_s / gb, "cpu_us": cpu_s * 1e6 / told["requests"],
            "client_us": client_s * 1e6 / told["requests"], "others": others_s * 100 / (took_s * CORES)}

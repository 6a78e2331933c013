"""Row 1: whole files over TLS on 16 kept connections, and the CPU that a gigabyte costs."""
import json
import resource
import subprocess

from peers import CORES, FILE, HERE, Stage, machine_busy_s
from rows import Row

CONNECTIONS = 16
GB = 1e9
PROTOCOLS = [("TLSv1.3", "TLS_AES_128_GCM_SHA256"), ("TLSv1.2", "ECDHE-ECDSA-AES128-GCM-SHA256")]


def children_cpu_s():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def load(server, env, seconds):
    """One run of wrk: GB a second, CPU seconds a GB of the server and of wrk itself, and how much of the machine all
    other programs used meanwhile."""
    before, client_before, busy_before = server.cpu_s(), children_cpu_s(), machine_busy_s()
    done = subprocess.run(["wrk", f"-t{CORES}", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "10s",
                           "-s", str(HERE / "report.lua"), server.url],
                          env=env, capture_output=True, text=True, timeout=seconds + 20, check=True)
    cpu_s, client_s = server.cpu_s() - before, children_cpu_s() - client_before
    others_s = max(0, machine_busy_s() - busy_before - cpu_s - client_s)
    told = json.loads(done.stdout.split("RESULT ", 1)[1])
    assert told["bad_status"] == told["bad_socket"] == 0 and told["requests"] > 0, (server.name, told)
    whole = told["requests"] * len(FILE)
    # heads, and what was under way at the end
    most = whole + told["requests"] * 1000 + CONNECTIONS * len(FILE)
    assert whole <= told["bytes"] <= most, (server.name, told)
    gb = told["bytes"] / GB
    took_s = told["us"] / 1e6
    return {"rate": gb / took_s, "cpu": cpu_s / gb, "client": client_s / gb,
            "others": others_s * 100 / (took_s * CORES)}


def same_on_both(stage, env, protocol, cipher):
    said = [stage.negotiated(server, env) for server in stage.servers]
    assert said[0] == said[1], said
    assert (said[0]["Protocol version"], said[0]["Ciphersuite"]) == (protocol, cipher), said
    return said[0]


def better_nginx(stage, seconds):
    """nginx with or without sendfile, whichever is faster here: with TLS in user space neither always is."""
    env = stage.client_env("TLSv1.3")
    tried = {"off": stage.servers[1], "on": stage.start_nginx(sendfile="on")}
    rates = {how: [] for how in tried}
    for how in ("off", "on", "on", "off"):
        rates[how].append(load(tried[how], env, seconds)["rate"])
    best = max(rates, key=lambda how: sum(rates[how]))
    stage.servers[1] = tried[best]
    return f"sendfile {best}"


def rounds_of(stage, env, rounds, seconds):
    """{name: [runs]}, the first of a round by turns; a round before them warms up."""
    runs = {server.name: [] for server in stage.servers}
    for i in range(rounds + 1):
        for server in stage.servers if i % 2 else stage.servers[::-1]:
            runs[server.name].append(load(server, env, seconds if i else 1))
    return {name: all_[1:] for name, all_ in runs.items()}


def rows_of(protocol, runs, note):
    def sides(key):
        return [[one[key] for one in runs[name]] for name in ("otad", "nginx")]
    return [Row(f"download, {protocol}", "GB/s", *sides("rate"), goal=("ratio", ">=", 1.1), note=note),
            Row(f"download, {protocol}: CPU of server", "s/GB", *sides("cpu")),
            Row(f"download, {protocol}: CPU of wrk", "s/GB", *sides("client")),
            Row(f"download, {protocol}: CPU of others", "%", *sides("others"), compare=False)]


def run(quick):
    rounds, seconds = (1, 1) if quick else (5, 4)
    rows = []
    with Stage() as stage:
        stage.start_pair()
        tuning = better_nginx(stage, 1 if quick else 2)
        for protocol, cipher in PROTOCOLS:
            env = stage.client_env(protocol)
            note = {"nginx": tuning, "negotiated": same_on_both(stage, env, protocol, cipher)}
            rows += rows_of(protocol, rounds_of(stage, env, rounds, seconds), note)
    return rows

"""Files over TLS on kept connections: whole, in ranges, on a thousand connections at once; and the CPU that a gigabyte costs."""
from peers import FILE, SIDES, Stage
from rows import Row
from turns import by_turns, pairs
from wrk import Load, wrk

PROTOCOLS = [("TLSv1.3", "TLS_AES_128_GCM_SHA256"), ("TLSv1.2", "ECDHE-ECDSA-AES128-GCM-SHA256")]
RANGE = 64 * 1024
WHOLE = Load(connections=16, size=len(FILE))
RANGES = Load(connections=16, size=RANGE, script="ranges.lua", args=(len(FILE), RANGE))
CROWD = Load(connections=1000, size=len(FILE))
CROWD_S = 8  # its handshakes are a twentieth of that


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
        rates[how].append(wrk(tried[how], env, WHOLE, seconds)["rate"])
    best = max(rates, key=lambda how: sum(rates[how]))
    stage.servers[1] = tried[best]
    return f"sendfile {best}"


def measured(servers, env, load, rounds, seconds):
    return by_turns({server.name: server for server in servers}, rounds,
                    lambda server, warms_up: wrk(server, env, load, seconds // 2 or 1 if warms_up else seconds))


def rows_of(name, found, goals, note):
    return [Row(name, "GB/s", *pairs(found, "rate", SIDES), goal=("ratio", ">=", goals["rate"]), note=note),
            Row(f"{name}: CPU of server", "s/GB", *pairs(found, "cpu", SIDES),
                goal=("ratio", "<=", goals["cpu"]) if "cpu" in goals else None),
            Row(f"{name}: CPU of wrk", "s/GB", *pairs(found, "client", SIDES)),
            Row(f"{name}: CPU of others", "%", *pairs(found, "others", SIDES), compare=False)]


def beside_node(stage, env, rounds, seconds):
    found = measured([stage.servers[0], stage.start_node()], env, WHOLE, rounds, seconds)
    names = ("otad", "node")
    return [Row("download, TLSv1.3, beside Node", "GB/s", *pairs(found, "rate", names), goal=("ratio", ">=", 3), peer="node"),
            Row("download, TLSv1.3, beside Node: CPU of server", "s/GB", *pairs(found, "cpu", names), peer="node")]


def run(quick):
    rounds, seconds = (1, 1) if quick else (5, 4)
    rows = []
    with Stage() as stage:
        stage.start_pair()
        tuning = better_nginx(stage, 1 if quick else 2)
        for protocol, cipher in PROTOCOLS:
            env = stage.client_env(protocol)
            note = {"nginx": tuning, "negotiated": same_on_both(stage, env, protocol, cipher)}
            rows += rows_of(f"download, {protocol}", measured(stage.servers, env, WHOLE, rounds, seconds),
                            {"rate": 1.25, "cpu": 0.9}, note)
        env = stage.client_env("TLSv1.3")
        rows += rows_of("64 KiB ranges", measured(stage.servers, env, RANGES, rounds, seconds), {"rate": 1.1}, {"nginx": tuning})
        rows += beside_node(stage, env, min(rounds, 3), seconds)
        crowd, crowd_s = (CROWD._replace(connections=100), 2) if quick else (CROWD, CROWD_S)
        rows += rows_of(f"download, {crowd.connections:,} connections", measured(stage.servers, env, crowd, min(rounds, 3), crowd_s),
                        {"rate": 1.1}, {"nginx": tuning})
    return rows

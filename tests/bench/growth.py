"""How what a rollout costs grows with the fleet: growth.c, and the memory of a whole otad on a large store.

    OTAD_BUILD=build PYTHONPATH=tests/system python3 tests/bench/growth.py [devices]     the daemon alone, by hand
"""
import json
import subprocess
import sys
import time
from pathlib import Path

from harness import BUILD, status_kb, wait_until
from peers import Stage
from rows import Row

PROGRAM = BUILD / "bench" / "growth"
FLAT = 3  # so many times the smallest fleet's time pass as flat: caches hold less of a larger one
LIMIT_S = 120


def filled(stage, devices):
    """A folder with a store of so many devices, and the key of their secrets."""
    data = Path(stage.folder(), "data")
    data.mkdir(mode=0o700)
    subprocess.run([PROGRAM, "-k", data, str(devices)], check=True)
    return data


def campaign_for_all(otad, devices):
    """Its id and the seconds from POST to running."""
    firmware = otad.ok("PUT", "/firmware?product=fleet&version=2.0.0", body=b"firmware")["id"]
    begun = time.monotonic()
    posted = otad.by_socket("POST", "/api/v1/campaigns", json.dumps({"firmware": [firmware]}),
                            {"Content-Type": "application/json"})
    assert posted.status == 201, posted.data
    path = f"/api/v1/campaigns/{posted.data['id']}"
    wait_until(lambda: otad.by_socket("GET", path).data["state"] == "running", LIMIT_S, "the campaign's start")
    took_s = time.monotonic() - begun
    counts = otad.by_socket("GET", path).data["counts"]
    assert counts["queued"] == devices, counts
    return posted.data["id"], took_s


def daemon(devices):
    """VmHWM of otad in MB: once it is healthy, and after a campaign for everyone; and the seconds from POST to running."""
    with Stage() as stage:
        otad = stage.start_otad(store=filled(stage, devices))
        idle = status_kb(otad.pid, "VmHWM")
        _, took_s = campaign_for_all(otad, devices)
        peak = status_kb(otad.pid, "VmHWM")
    return {"idle": idle / 1e3, "peak": peak / 1e3, "took_s": took_s}


def run(quick):
    sizes = [1000, 2000] if quick else [1000, 100000]
    with Stage() as stage:
        results = Path(stage.folder(), "growth.json")
        subprocess.run([PROGRAM, "-j", results, *map(str, sizes)], check=True, stdout=subprocess.DEVNULL,
                       env={"TMPDIR": stage.folder()})
        found = json.loads(results.read_text())["rows"]
    note = {"devices": sizes}

    def row(of, unit, value, **more):
        return Row(f"{sizes[-1]:,} devices: {of['name']}", unit, [value], note=note | {"values": of["values"]}, **more)
    rows = [row(of, f"x {sizes[0]:,}", of["values"][-1] / of["values"][0], goal=("otad", "<=", FLAT))
            for of in found if of["unit"] == "us"]
    rows += [row(of, "s", of["values"][-1]) for of in found if of["unit"] == "s"]
    runs = [of for of in found if of["name"].endswith(": longest run")]
    rows.append(row(max(runs, key=lambda of: of["values"][-1]), "ms", max(of["values"][-1] for of in runs),
                    goal=("otad", "<", 50)))
    memory = daemon(sizes[-1])
    return rows + [Row(f"{sizes[-1]:,} devices: memory of otad, a campaign for all", "MB", [memory["peak"]],
                       goal=("otad", "<", 150), note=memory)]


if __name__ == "__main__":
    print(daemon(int(sys.argv[1]) if len(sys.argv) > 1 else 1000000))

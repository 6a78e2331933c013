"""A fleet of otad-sim through one campaign of a 1 MiB file, from POST to completed, and what took so long: the CPU
of each program beside the machine's cores, and what was written for the store."""
import json
import subprocess
import tempfile
import time

from files import pattern
from harness import BUILD, FINAL, wait_until
from meter import Meter, share
from peers import CORES, Stage, cpu_s, written_bytes
from rows import Row

IMAGE = pattern(1 << 20, seed=7)
LIMIT_S = 120
SETTLE_S, IDLE_S = 1, 2
MB = 1e6


class Sim:
    """otad-sim, whose devices register by their first inform, and stay until told to stop."""

    def __init__(self, stage, devices, secret):
        self.out = stage.enter_context(tempfile.TemporaryFile("w+"))
        self.process = subprocess.Popen(
            [BUILD / "otad-sim", "--mqtt", f"localhost:{stage.otad.mqtt_port}", "--ca", stage.otad.ca,
             "--product", "fleet", "--secret", secret, "--devices", str(devices), "--version", "1.0.0",
             "--threads", str(CORES), "--connect-rate", "1000", "--install-ms", "0", "--until", "stopped", "--json", "--quiet"],
            stdin=subprocess.DEVNULL, stdout=self.out)
        stage.callback(self.kill)

    def stop(self):
        """Its summary."""
        self.process.terminate()
        assert self.process.wait(30) == 0, "otad-sim failed"
        self.out.seek(0)
        return json.load(self.out)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def start(stage, devices):
    """All connected, registered and with a version, and the file in the store: ready for the POST."""
    otad = stage.otad = stage.start_otad()
    product = otad.ok("POST", "/products", {"key": "fleet", "protocol": "native", "enrolment": "open"})
    firmware = otad.ok("PUT", "/firmware?product=fleet&version=2.0.0", body=IMAGE)["id"]
    sim = Sim(stage, devices, product["enrolment_secret"])
    wait_until(lambda: len(otad.pages("/devices?product=fleet&limit=1000")) == devices, 60, "the fleet's registration")
    return otad, firmware, sim


def completed(otad, campaign, devices):
    def look():  # by the socket: twenty handshakes a second would be work for otad too
        now = otad.by_socket("GET", f"/api/v1/campaigns/{campaign}").data
        return now if now["state"] == "completed" else None
    counts = wait_until(look, LIMIT_S, "the campaign's end")["counts"]
    ended = {state: n for state, n in counts.items() if n and state in FINAL}
    assert ended == {"succeeded": devices}, ended


def idle_us(pid, devices):
    """CPU microseconds a second that a device takes of its simulator while nothing happens."""
    time.sleep(SETTLE_S)
    before, begun = cpu_s(pid), time.monotonic()
    time.sleep(IDLE_S)
    return (cpu_s(pid) - before) * 1e6 / (time.monotonic() - begun) / devices


def run_once(devices):
    with Stage() as stage:
        otad, firmware, sim = start(stage, devices)
        idle = idle_us(sim.process.pid, devices)
        pids = {"otad": otad.pid, "mosquitto": otad.broker_pid(), "otad-sim": sim.process.pid}
        meter = Meter(**{name: lambda pid=pid: cpu_s(pid) for name, pid in pids.items()})
        begun_s, written = time.monotonic(), written_bytes(otad.pid)
        campaign = otad.ok("POST", "/campaigns", {"firmware": [firmware]})["id"]
        completed(otad, campaign, devices)
        took_s, used_s, written = time.monotonic() - begun_s, meter.used(), written_bytes(otad.pid) - written
        told = sim.stop()
    assert told["downloads"] == devices and told["digest_errors"] == 0, told
    assert told["bytes"] >= devices * len(IMAGE), told
    return {"took": took_s, "cpu": used_s, "busy": share(sum(used_s.values()), took_s), "written": written / MB, "sim": told, "idle": idle,
            "share": used_s["otad-sim"] * 100 / sum(used_s[name] for name in pids)}


def run(quick):
    devices, rounds = (50, 1) if quick else (2000, 3)
    runs = [run_once(devices) for _ in range(rounds)]

    def row(what, unit, value, **more):
        return Row(f"fleet of {devices:,}: {what}", unit, [value(one) for one in runs], **more)
    return [row("POST to completed", "s", lambda one: one["took"],
                note={"file_bytes": len(IMAGE), "otad_sim": [one["sim"] for one in runs]}),
            row("bytes of files, verified", "MB/s", lambda one: devices * len(IMAGE) / MB / one["took"]),
            row("machine's CPU in use", "%", lambda one: one["busy"]),
            *[row(f"CPU of {name}", "s", lambda one, name=name: one["cpu"][name]) for name in runs[0]["cpu"]],
            *[row(f"CPU of {name}, for a device's update", "ms", lambda one, name=name: one["cpu"][name] * 1e3 / devices)
              for name in runs[0]["cpu"] if name != "others"],
            row("otad-sim's share of these", "%", lambda one: one["share"]),
            row("CPU of otad-sim, for a device that idles", "us/s", lambda one: one["idle"]),
            row("written for the store", "MB", lambda one: one["written"])]

"""A file of 4 MiB in blocks of 10 KiB to 100 devices at once over MQTT, from otad through its broker, beside what a bare
libmosquitto client sends from its memory through a broker that has the same settings and no plugin. mqtt_files.c is the
devices of both, and that client."""
import os
import signal
import subprocess
from pathlib import Path

from files import pattern
from harness import BUILD, free_ports, wait_until
from peers import Stage, cpu_s
from rows import Row

BLOCK = 10240
MB = 1e6
PROGRAM = BUILD / "bench" / "mqtt_files"


class Talker:
    """A process that says a line when it is ready, and one for each line it is told."""

    def __init__(self, stage, *command, **more):
        self.process = subprocess.Popen(list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        bufsize=1, **more)
        stage.callback(self.kill)

    def hear(self):
        line = self.process.stdout.readline().strip()
        assert line, f"{self.process.args[:2]} ended with status {self.process.wait(10)}"
        return line

    def tell(self, line):
        self.process.stdin.write(f"{line}\n")

    def ask(self, line):
        self.tell(line)
        return self.hear()

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


def devices_of(stage, port, product, secret, n):
    fleet = Talker(stage, PROGRAM, "devices", "127.0.0.1", port, product, secret, n, BLOCK)
    assert fleet.hear() == "ready"
    return fleet


def otad_side(stage, size, n):
    """The devices of otad, all of them offered the file; and its stream."""
    otad = stage.otad = stage.start_otad(mqtt_plain_port=free_ports(1)[0])
    product = otad.ok("POST", "/products", {"key": "bench", "protocol": "aliyun", "transfer": "mqtt", "enrolment": "open"})
    firmware = otad.ok("PUT", "/firmware?product=bench&version=2.0.0", body=pattern(size))["id"]
    fleet = devices_of(stage, otad.settings["mqtt_plain_port"], "bench", product["enrolment_secret"], n)
    wait_until(lambda: len(otad.pages("/devices?product=bench&limit=1000")) == n, what="every device's first inform")
    campaign = otad.ok("POST", "/campaigns", {"firmware": [firmware]})["id"]
    wait_until(lambda: otad.counts(campaign) == {"offered": n}, what="every device's offer")
    return fleet, firmware


def bare_settings(otad, folder, port):
    """otad's own for its broker, but for the plugin and the listeners."""
    generated = next((otad.data).glob("*/mosquitto.conf")).read_text().split("listener ")[0]
    kept = [line for line in generated.splitlines()
            if not line.startswith(("plugin", "allow_anonymous", "persistence_location"))]
    return "\n".join(kept + [f"persistence_location {folder}/", f"listener 0 {folder}/broker.sock", f"listener {port} 127.0.0.1",
                             "allow_anonymous true", ""])


def bare_broker(stage):
    """A mosquitto with those settings: folder, port, process id."""
    folder, port = stage.folder(), free_ports(1)[0]
    conf = Path(folder, "mosquitto.conf")
    conf.write_text(bare_settings(stage.otad, folder, port))
    broker = subprocess.Popen(["mosquitto", "-c", conf], stderr=subprocess.DEVNULL,
                              env={"PATH": os.environ["PATH"] + ":/usr/sbin"})
    stage.callback(lambda: (broker.send_signal(signal.SIGTERM), broker.wait(10)))
    wait_until(Path(folder, "broker.sock").exists, 10, "the start of mosquitto")
    return folder, port, broker.pid


def bare_side(stage, n):
    folder, port, broker_pid = bare_broker(stage)
    server = Talker(stage, PROGRAM, "server", f"{folder}/broker.sock")
    assert server.hear() == "ready"
    return devices_of(stage, port, "bench", "none", n), {"mosquitto": broker_pid, "server": server.process.pid}


def once(fleet, pids, stream, size, n):
    """MB a second, and CPU seconds a GB of the programs between file and devices."""
    before = {name: cpu_s(pid) for name, pid in pids.items()}
    took_s = float(fleet.ask(f"{stream} {size}"))
    gb = n * size / 1e9
    return {"rate": n * size / MB / took_s, **{name: (cpu_s(pid) - before[name]) / gb for name, pid in pids.items()}}


def run(quick):
    size, n, rounds = (1 << 18, 20, 1) if quick else (1 << 22, 100, 5)
    with Stage() as stage:
        otad, stream = otad_side(stage, size, n)
        bare, bare_pids = bare_side(stage, n)
        pids = {"mosquitto": stage.otad.broker_pid(), "server": stage.otad.pid}
        sides = {"otad": (otad, pids), "bare": (bare, bare_pids)}
        runs = {name: [] for name in sides}
        for i in range(rounds + 1):  # the first one warms up
            for name in list(sides) if i % 2 else list(sides)[::-1]:
                runs[name].append(once(*sides[name], stream, size, n))

    def row(what, unit, key):
        return Row(f"blocks over MQTT to {n} devices: {what}", unit, *[[one[key] for one in runs[name][1:]] for name in sides],
                   peer="bare pair")
    return [row("bytes of files", "MB/s", "rate"), row("CPU of mosquitto", "s/GB", "mosquitto"),
            row("CPU of otad, or the bare client", "s/GB", "server")]

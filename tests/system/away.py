#!/usr/bin/python3
"""A fleet whose broker goes away in the middle of a campaign, and comes back: everybody must be updated all the same.

  away.py [--devices N] [--seconds N]
"""
import argparse
import contextlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from files import pattern
from fleet import Product
from harness import BUILD, Otad, wait_until

PART = 10  # of the fleet that is updated before the broker goes


def allow_descriptors():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


class Stage:
    """A server whose broker does not start while the file `hold` is there, and a fleet of otad-sim."""

    def __init__(self, folder, devices):
        self.folder, self.devices = Path(folder), devices
        self.hold = self.folder / "hold"
        program = self.folder / "mosquitto"
        real = shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin")
        program.write_text(f'#!/bin/sh\nwhile [ -e "{self.hold}" ]; do sleep 0.1; done\nexec "{real}" "$@"\n')
        program.chmod(0o755)
        self.server = Otad(folder, {"mosquitto": program, "max_connections": 20000})
        self.sim = None

    def start(self):
        self.server.start()
        self.product = Product(self.server, enrolment="open")
        self.sim = subprocess.Popen(
            [BUILD / "otad-sim", "--mqtt", f"localhost:{self.server.mqtt_plain_port}", "--plain", "--ca", self.server.ca,
             "--product", self.product.key, "--secret", self.product.enrolment_secret, "--devices", str(self.devices),
             "--connect-rate", "1000", "--install-ms", "100", "--json", "--quiet"],
            stdout=subprocess.PIPE, stderr=(self.folder / "sim.log").open("wb"))
        self.wait_online(self.devices)

    def stop(self):
        if self.sim and self.sim.poll() is None:
            self.sim.kill()
            self.sim.wait()
        self.server.kill()

    def status(self):
        return self.server.ok("GET", "/status")

    def wait_online(self, n):
        wait_until(lambda: self.status()["devices_online"] == n, 300, f"{n} devices", pause_s=0.2)

    def succeeded(self, campaign):
        return self.server.counts(campaign).get("succeeded", 0)

    def campaign(self):
        """Begun, and well under way: a rate keeps it from being over at once."""
        made = self.product.campaign(self.product.upload(pattern(20_000), version="2.0.0"),
                                     policy={"rate_per_minute": max(60, 6 * self.devices)})
        wait_until(lambda: self.succeeded(made) >= self.devices // PART, 300, "a part of the fleet", pause_s=0.1)
        return made

    def away(self, seconds):
        self.hold.touch()
        os.kill(self.server.broker_pid(), signal.SIGKILL)
        wait_until(lambda: not self.server.healthy(), what="the loss of the broker")
        self.wait_online(0)
        time.sleep(seconds)
        self.hold.unlink()

    def end(self):
        """The fleet's own summary, once it is all on the new version."""
        out, _ = self.sim.communicate(timeout=900)
        assert self.sim.returncode == 0, (self.folder / "sim.log").read_text()[-2000:]
        return json.loads(out)


def run(devices, seconds):
    allow_descriptors()
    folder = tempfile.mkdtemp(prefix="otad-")
    stage = Stage(folder, devices)
    try:
        stage.start()
        campaign = stage.campaign()
        before = stage.succeeded(campaign)
        stage.away(seconds)
        back = time.monotonic()
        wait_until(stage.server.healthy, 300, "the broker")
        healthy_s = time.monotonic() - back
        stage.end()
        took_s = time.monotonic() - back
        stage.server.wait_counts(campaign, {"succeeded": devices}, 300)
        stage.server.check_counts(campaign)
        dropped = stage.status()["counters"]["mqtt_dropped"]
        with contextlib.suppress(AssertionError):
            stage.server.stop()
        return (f"{devices} devices, {before} of them updated before, {seconds} s without a broker; otad was connected after "
                f"{healthy_s:.1f} s, all were updated after {took_s:.0f} s, {dropped} messages dropped")
    except AssertionError as e:
        raise AssertionError(f"{e}\n{stage.server.log(40)}") from e
    finally:
        stage.stop()
        shutil.rmtree(folder, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, default=10_000)
    parser.add_argument("--seconds", type=int, default=600)
    args = parser.parse_args()
    print(f"away: {run(args.devices, args.seconds)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

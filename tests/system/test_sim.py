"""A fleet of otad-sim, as the demonstration and the benchmark use it."""
import json
import signal
import subprocess

import pytest

from files import pattern
from fleet import Product
from harness import BUILD, WAIT_S, free_ports, wait_until

DEVICES = 100


class Sim:
    """otad-sim with a hundred devices of a product whose enrolment is open."""

    def __init__(self, product, *more):
        otad = product.otad
        self.process = subprocess.Popen(
            [BUILD / "otad-sim", "--mqtt", f"localhost:{otad.mqtt_port}", "--ca", otad.ca, "--product", product.key,
             "--secret", product.enrolment_secret, "--protocol", product.made["protocol"], "--devices", str(DEVICES),
             "--install-ms", "50", "--json", "--quiet", *map(str, more)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def end(self):
        out, err = self.process.communicate(timeout=3 * WAIT_S)
        assert self.process.returncode == 0, err.decode()
        return json.loads(out)


@pytest.fixture
def sims():
    started = []

    def start(*args):
        started.append(Sim(*args))
        return started[-1]
    yield start
    for sim in started:
        sim.process.kill()
        sim.process.wait()


def registered(product):
    return len(product.otad.pages(f"/devices?product={product.key}&limit=1000")) == DEVICES


def test_a_fleet_registers_updates_drops_and_fails(make_otad, sims):
    otad = make_otad()
    product = Product(otad, enrolment="open")
    sim = sims(product, "--drop-pct", "30", "--mqtt-drop-pct", "20", "--fail-pct", "10", "--reboot", "--reboot-ms", "50")
    wait_until(lambda: registered(product), what="every device's first inform")
    firmware = product.upload(pattern(300_007), version="1.1.0")
    campaign = product.campaign(firmware, policy={"max_attempts": 3, "retry_after": "1s"})
    assert otad.wait_campaign(campaign, "completed")["percent"] == 100
    assert otad.counts(campaign) == {"succeeded": DEVICES}
    otad.check_counts(campaign)
    attempts = [row["attempt"] for row in otad.executions(campaign).values()]
    assert 1 <= attempts.count(2) <= DEVICES // 2 and set(attempts) <= {1, 2}  # those that failed were tried again
    summary = sim.end()
    assert summary
    assert all(otad.module_version(product.key, f"sim-{i:05}") == "1.1.0" for i in (1, DEVICES))


# ---- the clouds' protocols: what goes wrong on the way is made good in each

TROUBLE = ["--drop-pct", "30", "--mqtt-drop-pct", "20", "--fail-pct", "10", "--reboot", "--reboot-ms", "50"]
FILE = pattern(100_007)


def update(product):
    campaign = product.campaign(product.upload(FILE, version="2.0.0"), policy={"max_attempts": 3, "retry_after": "1s"})
    product.otad.wait_campaign(campaign, "completed")
    assert product.otad.counts(campaign) == {"succeeded": DEVICES}
    product.otad.check_counts(campaign)


def check_summary(told, transfer):
    """Files came the way that was asked for, and nothing was heard that makes no sense."""
    assert told["succeeded"] == DEVICES and told["refused"] == 0
    assert told["downloads"] == DEVICES + told["failures_simulated"] and told["failures_simulated"] > 0
    assert told["cut"] > 0 and told["mqtt_drops"] > 0
    assert told["digest_errors"] == told["bad_offers"] == 0
    blocks = -(-len(FILE) // 10240) * told["downloads"]
    assert told["blocks"] == (blocks if transfer == "mqtt" else 0)


@pytest.mark.parametrize("protocol, transfer", [("aliyun", "https"), ("aliyun", "mqtt"), ("onenet", "https")])
def test_a_fleet_with_secrets(make_otad, sims, protocol, transfer):
    otad = make_otad({"public_url": "https://localhost"} if (protocol, transfer) == ("aliyun", "https") else None)
    product = Product(otad, protocol=protocol, transfer=transfer, enrolment="open")
    sim = sims(product, "--transfer", transfer, "--https", f"localhost:{otad.https_port}", *TROUBLE)
    wait_until(lambda: registered(product), what="every device's first inform")
    update(product)
    check_summary(sim.end(), transfer)


@pytest.mark.parametrize("transfer, streams", [("https", "cbor"), ("mqtt", "cbor"), ("mqtt", "json")])
def test_a_fleet_with_certificates(make_otad, sims, tmp_path, transfer, streams):
    otad = make_otad({"mqtt_cert_port": free_ports(1)[0]})
    product = Product(otad, protocol="aws", enrolment="open")
    for i in range(1, DEVICES + 1):
        name = f"sim-{i:05}"
        product.register(name)
        made = otad.ok("POST", f"/devices/{product.key}/{name}/certificate", {})
        (tmp_path / f"{name}.pem").write_text(made["certificate"])
        (tmp_path / f"{name}.key").write_text(made["key"])
    sim = sims(product, "--mqtt", f"localhost:{otad.settings['mqtt_cert_port']}", "--certs", tmp_path, "--transfer", transfer,
               "--streams", streams, *TROUBLE)
    update(product)
    told = sim.end()
    check_summary(told, transfer)
    assert told["nothing_due"] >= DEVICES - told["failures_simulated"]  # the list that became empty


def test_devices_that_get_stuck_time_out(make_otad, sims):
    otad = make_otad()
    product = Product(otad, enrolment="open")
    sim = sims(product, "--never-pct", "10")
    wait_until(lambda: registered(product), what="every device's first inform")
    campaign = product.campaign(product.upload(version="1.1.0"), policy={"max_attempts": 1, "finish_timeout": "5s"})
    otad.wait_campaign(campaign, "completed")
    ended = otad.counts(campaign)
    assert set(ended) == {"succeeded", "timed_out"} and sum(ended.values()) == DEVICES
    assert 1 <= ended["timed_out"] <= DEVICES // 3
    sim.end()


def test_it_ends_on_a_signal_with_its_summary(make_otad, sims):
    otad = make_otad()
    product = Product(otad, enrolment="open")
    sim = sims(product, "--until", "stopped")
    wait_until(lambda: registered(product))
    sim.process.send_signal(signal.SIGTERM)
    assert sim.end()


@pytest.mark.parametrize("args", [[], ["--devices", "0"], ["--colour"], ["--mqtt", "localhost"], ["--until", "never"]])
def test_bad_arguments(args):
    done = subprocess.run([BUILD / "otad-sim", *args], capture_output=True, timeout=WAIT_S)
    assert done.returncode == 2 and done.stderr

"""The walks of the README and of an updater's page."""
import hashlib

from files import pattern
from fleet import Device
from harness import WAIT_S, wait_until
from walks import documents, parts, run_walk, walk


def test_the_walk_of_the_readme(make_otad, tmp_path):
    server = make_otad()
    script = walk("README.md", {"8443": server.https_port})
    answers = documents(run_walk(script, server, tmp_path / "walk", 3 * WAIT_S))
    product = next(a for a in answers if a.get("key") == "thermo")
    assert product["protocol"] == "native"
    firmware = next(a for a in answers if "sha256" in a)
    assert firmware["sha256"] == hashlib.sha256(pattern(70001)).hexdigest()
    assert (firmware["id"], firmware["version"], firmware["size"], firmware["module"]) == (1, "1.2.0", 70001, "default")
    made, seen = [a for a in answers if "counts" in a]
    assert made["id"] == seen["id"] == 1 and made["name"] == "thermo 1.2.0"
    assert "state" in made and isinstance(seen["percent"], (int, float))
    rows = next(a for a in answers if "items" in a)
    assert [row["device"] for row in rows["items"]] in ([], ["kitchen"])  # made in steps, a moment after


def test_the_waves_of_the_readme(make_otad, tmp_path):
    server = make_otad()
    script = walk("README.md", {"8443": server.https_port}) + parts("README.md")["waves"]
    campaign = documents(run_walk(script, server, tmp_path / "walk", 3 * WAIT_S))[-1]
    assert campaign["id"] == 2
    server.wait_campaign(2, "running")
    assert [wave["total"] for wave in server.campaign(2)["waves"]] == [1, 0]
    assert server.state_of(1, "kitchen") == "superseded"


def test_the_walk_with_its_device_there(make_otad, tmp_path):
    """The same page, in two parts: between them the device that it registers logs in, with the secret it answers."""
    server = make_otad()
    lines = walk("README.md", {"8443": server.https_port}).splitlines(keepends=True)
    functions = next(i for i, line in enumerate(lines) if line.startswith("otad /products"))
    registered = next(i for i, line in enumerate(lines) if line.startswith("otad /devices"))

    def run(part):
        return documents(run_walk("".join(part), server, tmp_path / "walk"))

    secret = run(lines[:registered + 1])[-1]["secret"]
    device = Device(server, "thermo", "kitchen", secret).connect()
    device.inform("1.1.0")
    run(lines[:functions] + lines[registered + 1:])
    device.update(device.offer("1.2.0"))
    server.wait_state(1, "kitchen", "succeeded")
    assert wait_until(lambda: server.campaign(1)["percent"] == 100)
    device.disconnect()


def test_the_walk_of_an_updater(make_otad, tmp_path):
    server = make_otad()
    script = walk("docs/devices/arduino.md", {"8443": server.https_port})
    answers = documents(run_walk(script, server, tmp_path / "walk", 3 * WAIT_S))
    assert [a for a in answers if isinstance(a, int)] == [304, 200, 304]
    assert answers[-1]["items"][0]["device"] == "a0b1c2d3e4f5"
    assert server.state_of(1, "a0b1c2d3e4f5") == "succeeded"


def test_the_walks_of_access(make_otad, tmp_path):
    server = make_otad()
    functions = walk("docs/access.md", {"8443": server.https_port})
    named = parts("docs/access.md")
    answers = documents(run_walk(functions + named["rotate"] + named["audit"], server, tmp_path / "walk", 3 * WAIT_S))
    assert answers[0]["role"] == "uploader" and answers[0]["token"].startswith("otad_")
    secrets = [a for a in answers if "old_secret_until" in a and "id" not in a]
    assert [sorted(a.keys() - {"old_secret_until"}) for a in secrets] == [["secret"], ["enrolment_secret"]]
    lines = [a["items"] for a in answers if "items" in a][1:]
    assert [row["path"] for row in lines[0]][:2] == ["/api/v1/products/thermo/enrolment-secret", "/api/v1/devices/thermo/kitchen/secret"]
    assert [row["method"] for row in lines[1]] == ["POST"] and len(lines[2]) == len(lines[0]) - 1
    table = (tmp_path / "walk" / "audit.csv").read_text().splitlines()
    more = (tmp_path / "walk" / "more.ndjson").read_text().splitlines()
    assert len(table) == len(lines[0]) + 1 and len(more) == len(lines[0]) - 2

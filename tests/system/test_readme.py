"""The walks by curl, in the README and on the devices' pages, are run from the pages themselves."""
import hashlib
import json
import re
import shutil
import subprocess

from files import pattern
from fleet import Device
from harness import ROOT, WAIT_S, wait_until


def walk(page="README.md"):
    """The shell lines between the page's two marks."""
    part = (ROOT / page).read_text().split("<!-- walk:begin -->")[1].split("<!-- walk:end -->")[0]
    fences = re.findall(r"^```\w*\n(.*?)^```", part, re.MULTILINE | re.DOTALL)
    assert fences, "no code between the marks"
    return "".join(fences)


def documents(text):
    """The JSON values that the calls printed one after the other."""
    decoder, values, at = json.JSONDecoder(), [], 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        value, at = decoder.raw_decode(text, at)
        values.append(value)
    return values


def run_walk(server, folder, page="README.md"):
    script = walk(page).replace("8443", str(server.https_port))
    assert str(server.https_port) in script and "data/" in script
    folder.mkdir(exist_ok=True)
    (folder / "app.bin").write_bytes(pattern(70001))
    if not (folder / "data").exists():
        (folder / "data").symlink_to(server.data)
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=folder, capture_output=True, text=True,
                          timeout=3 * WAIT_S)
    assert done.returncode == 0, f"{done.stderr}\n{done.stdout}\n{script}"
    return documents(done.stdout)


def test_the_walk_of_the_readme(make_otad, tmp_path):
    answers = run_walk(make_otad(), tmp_path / "walk")
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


def test_the_walk_with_its_device_there(make_otad, tmp_path):
    """The same page, in two parts: between them the device that it registers logs in, with the secret it answers."""
    server = make_otad()
    copy = tmp_path / "walk"
    copy.mkdir()
    lines = walk().replace("8443", str(server.https_port)).splitlines(keepends=True)
    functions = next(i for i, line in enumerate(lines) if line.startswith("otad /products"))
    registered = next(i for i, line in enumerate(lines) if line.startswith("otad /devices"))
    (copy / "app.bin").write_bytes(pattern(70001))
    (copy / "data").symlink_to(server.data)

    def run(part):
        done = subprocess.run([shutil.which("bash"), "-euo", "pipefail", "-c", "".join(part)], cwd=copy, check=True,
                              timeout=WAIT_S, capture_output=True, text=True)
        return documents(done.stdout)

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
    answers = run_walk(server, tmp_path / "walk", "docs/devices/arduino.md")
    assert [a for a in answers if isinstance(a, int)] == [304, 200, 304]
    assert answers[-1]["items"][0]["device"] == "a0b1c2d3e4f5"
    assert server.state_of(1, "a0b1c2d3e4f5") == "succeeded"

"""The walk by curl in the README is run from the page itself."""
import hashlib
import json
import re
import shutil
import subprocess

from files import pattern
from fleet import Product
from harness import ROOT, WAIT_S, wait_until


def walk():
    """The shell lines between the page's two marks."""
    page = (ROOT / "README.md").read_text()
    part = page.split("<!-- walk:begin -->")[1].split("<!-- walk:end -->")[0]
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


def run_walk(server, folder):
    script = walk().replace("8443", str(server.https_port))
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
    assert isinstance(rows["items"], list)


def test_the_walk_with_a_device_that_is_there(make_otad, tmp_path):
    """The same page, and a device of that product, from the first call to succeeded."""
    server = make_otad()
    copy = tmp_path / "walk"
    copy.mkdir()
    lines = walk().replace("8443", str(server.https_port)).splitlines(keepends=True)
    at = next(i for i, line in enumerate(lines) if line.startswith("otad /products"))
    (copy / "app.bin").write_bytes(pattern(70001))
    (copy / "data").symlink_to(server.data)
    bash = shutil.which("bash")
    subprocess.run([bash, "-euo", "pipefail", "-c", "".join(lines[:at + 1])], cwd=copy, check=True, timeout=WAIT_S,
                   capture_output=True)
    thermo = Product.__new__(Product)
    thermo.otad, thermo.key = server, "thermo"
    device = thermo.device("kitchen").connect()
    device.inform("1.1.0")
    functions = "".join(lines[:at])
    subprocess.run([bash, "-euo", "pipefail", "-c", functions + "".join(lines[at + 1:])], cwd=copy, check=True,
                   timeout=WAIT_S, capture_output=True)
    device.update(device.offer("1.2.0"))
    server.wait_state(1, "kitchen", "succeeded")
    assert wait_until(lambda: server.campaign(1)["percent"] == 100)
    device.disconnect()

"""The walks by curl, in the README and on the other pages, run from the pages themselves. A walk stands between
`<!-- walk:begin -->` and `<!-- walk:end -->`; further ones on a page have names, `<!-- walk:begin canary -->`."""
import json
import re
import subprocess

from files import pattern
from harness import ROOT, WAIT_S


def parts(page):
    """The shell lines between each pair of marks, by name; "" is the one without a name."""
    text = (ROOT / page).read_text()
    found = {}
    for name, part in re.findall(r"^<!-- walk:begin ?([a-z-]*) -->\n(.*?)^<!-- walk:end -->$", text, re.MULTILINE | re.DOTALL):
        fences = re.findall(r"^```\w*\n(.*?)^```", part, re.MULTILINE | re.DOTALL)
        assert fences, f"no code between the marks {name}"
        assert name not in found, f"two walks {name or 'without a name'}"
        found[name] = "".join(fences)
    assert len(found) == text.count("<!-- walk:begin") == text.count("<!-- walk:end"), "a mark is not as it should be"
    return found


def put_ports(script, ports):
    """The server's ports for the page's; at once, since a port may hold another's digits."""
    assert all(written in script for written in ports)
    return re.sub("|".join(ports), lambda m: str(ports[m[0]]), script)


def walk(page, ports, wait_before=None):
    """A page's walk without a name, with the server's ports for the page's. What a person does not notice is added: before the
    first of the words named, waiting for the campaign to run."""
    script = put_ports(parts(page)[""], ports)
    assert "data/" in script
    if wait_before:
        assert wait_before in script
        wait = "until otad /campaigns/1 | grep -q '\"running\"'; do sleep 0.05; done\n"
        script = script.replace(wait_before, wait + wait_before, 1)
    return script


def run_walk(script, server, folder, timeout_s=WAIT_S):
    """What it prints, in a folder with the server's data and a firmware file."""
    folder.mkdir(exist_ok=True)
    (folder / "app.bin").write_bytes(pattern(70001))
    if not (folder / "data").exists():
        (folder / "data").symlink_to(server.data)
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=folder, capture_output=True, text=True,
                          timeout=timeout_s)
    assert done.returncode == 0, f"{done.stderr}\n{done.stdout}\n{script}"
    return done.stdout


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

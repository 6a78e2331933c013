"""The walks by curl, in the README and on the devices' pages, run from the pages themselves."""
import re
import subprocess

from files import pattern
from harness import ROOT, WAIT_S


def walk(page, ports, wait_before=None):
    """The shell lines between the page's two marks, with the server's ports for the page's. What a person does
    not notice is added: before the first of the words named, waiting for the campaign to run."""
    part = (ROOT / page).read_text().split("<!-- walk:begin -->")[1].split("<!-- walk:end -->")[0]
    fences = re.findall(r"^```\w*\n(.*?)^```", part, re.MULTILINE | re.DOTALL)
    assert fences, "no code between the marks"
    script = "".join(fences)
    assert "data/" in script
    assert all(written in script for written in ports)
    script = re.sub("|".join(ports), lambda m: str(ports[m[0]]), script)  # at once: a port may hold another's digits
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

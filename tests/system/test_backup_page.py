"""The commands of docs/backup.md, run from the page."""
import re

from files import pattern
from fleet import Product
from harness import BUILD, ROOT, WAIT_S, free_ports
from walks import documents, parts, put_ports, run_walk

PAGE = "docs/backup.md"


def run(name, server, folder, ports=None):
    """The program that the page calls is the one that was built."""
    script = parts(PAGE)[name]
    script = put_ports(script, ports) if ports else script
    return run_walk(f"PATH={BUILD}:$PATH\n" + script, server, folder, 3 * WAIT_S)


def test_the_page_from_top_to_bottom(make_otad, tmp_path):
    server, folder = make_otad(), tmp_path / "walk"
    product = Product(server)
    product.upload(pattern(70_001))
    product.campaign(1)
    said = run("", server, folder, {"8443": server.https_port})
    made, listed = documents(said[:said.rindex("}") + 1])
    assert listed["items"] == [made] and f"{made['name']} is good" in said
    assert run("sums", server, folder) == ""

    https, mqtt = free_ports(2)
    health, status = documents(run("drill", server, folder, {"18443": https, "18883": mqtt}).partition("already\n")[2])
    assert health["status"] == "ok"
    assert status["campaigns"] == server.ok("GET", "/status")["campaigns"]
    assert sorted(path.name for path in folder.iterdir()) == ["app.bin", "data", "drill.log"]

    product.register("later")
    server.stop()
    assert made["name"] in run("restore", server, folder)
    server.start()
    assert server.api("GET", f"/devices/{product.key}/later").status == 404


def test_settings_of_the_page_are_there():
    page, settings = (ROOT / PAGE).read_text(), (ROOT / "docs/settings.md").read_text()
    for key in re.findall(r"`(backup_\w+)`", page):
        assert f"| `{key}`" in settings

"""Years go by: what is old goes from the store, its counts stay, and what is not over is not touched."""
import shutil
import sqlite3

from fleet import Product
from harness import basic, problem, wait_until


def poll(server, product, secret, version):
    return server.http("GET", f"/api/v1/device/offer?module=default&version={version}",
                       headers=basic(f"{product.key}/d1", secret))


def update(server, product, secret, version):
    """A campaign of this version, to its end."""
    campaign = product.campaign(product.upload(version=version))
    server.later("1m")
    assert wait_until(lambda: poll(server, product, secret, "1.0.0").data or None)["version"] == version
    poll(server, product, secret, version)
    server.later("1m")
    assert server.campaign(campaign)["state"] == "completed"
    return campaign


def in_store(server, table):
    """The rows of a table, of a copy of the running server's store."""
    for suffix in ("", "-wal"):
        shutil.copy(f"{server.data}/otad.db{suffix}", f"{server.root}/copy.db{suffix}")
    with sqlite3.connect(f"{server.root}/copy.db") as db:
        return db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


def test_years(make_otad):
    server = make_otad({"keep_executions": "700d", "keep_timeline": "300d"}, clock=True)
    product, other = Product(server), Product(server)
    secret = product.register("d1")["secret"]
    other.register("away")
    done = update(server, product, secret, "1.1.0")
    waiting = other.campaign(other.upload())
    server.later("1m")
    lines = len(server.pages(f"/devices/{product.key}/d1/timeline"))
    assert lines > 3 and server.campaign(waiting)["state"] == "running"

    server.later("301d")
    wait_until(lambda: len(server.pages(f"/devices/{product.key}/d1/timeline")) < lines, what="a shorter timeline")
    before = server.campaign(done)
    assert before["pruned_at"] is None and len(server.executions(done)) == 1
    server.check_counts(done)

    server.later("400d")
    after = wait_until(lambda: (lambda c: c if c["pruned_at"] else None)(server.campaign(done)), what="the end of its rows")
    assert {**before, "pruned_at": 0, "revision": 0} == {**after, "pruned_at": 0, "revision": 0}
    wait_until(lambda: server.executions(done) == {})
    problem(server.api("POST", f"/campaigns/{done}/rollback"), 409, "not kept any more")
    assert server.counts(waiting) == {"queued": 1}
    server.check_counts(waiting)
    again = update(server, product, secret, "1.2.0")  # the device has forgotten nothing
    assert server.counts(again) == {"succeeded": 1}
    assert in_store(server, "execution") == 2
    assert "retention has removed 1 of the executions" in server.log()


def test_by_number(make_otad):
    server = make_otad({"keep_rows": 3, "keep_executions": "0d"}, clock=True)
    product = Product(server)
    secret = product.register("d1")["secret"]
    campaigns = [update(server, product, secret, f"1.1.{n}") for n in range(1, 6)]
    server.later("2h")
    wait_until(lambda: server.campaign(campaigns[1])["pruned_at"], what="the end of what is too much")
    assert [bool(server.campaign(id)["pruned_at"]) for id in campaigns] == [True, True, False, False, False]
    assert len(server.pages(f"/devices/{product.key}/d1/timeline")) <= 3

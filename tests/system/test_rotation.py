"""Another secret, while the one before it is good for a while: for a device, and for those of a product that enrol."""
import contextlib
import sqlite3

import pytest

from conftest import Factory
from fleet import Product
from harness import basic, free_ports, moment, problem, wait_until
from session import aliyun, aliyun_fields, native
from test_logins import NOT_AUTHORISED, by_psk, connect_packet, psk

OLD = "the-old-secret-of-some-length"
NEW = "the-new-secret-of-some-length"


@pytest.fixture(scope="module")
def otad():
    """Time goes by as the tests say; the broker's plugin sees the same clock."""
    with contextlib.ExitStack() as stack:
        factory = Factory(stack)
        yield factory(dict(zip(("mqtt_psk_port",), free_ports(1))), clock=True)
        factory.stop()


def by_http(otad, product, name, secret):
    return otad.http("GET", "/api/v1/device/offer", headers=basic(f"{product.key}/{name}", secret)).status


def by_mqtt(otad, product, name, secret):
    make = aliyun if product.made["protocol"] == "aliyun" else native
    session = make(otad, product.key, name, secret).connect()
    if session.rc == 0:
        session.disconnect()
    return session.rc


def gets_in(otad, product, name, secret):
    """By both ways, or by none."""
    http, mqtt = by_http(otad, product, name, secret), by_mqtt(otad, product, name, secret)
    assert (http, mqtt) in ((204, 0), (401, NOT_AUTHORISED))
    return http == 204


def rotate(otad, product, name, **wish):
    return otad.ok("POST", f"/devices/{product.key}/{name}/secret", wish)


@pytest.mark.parametrize("protocol", ["native", "aliyun"])
def test_of_a_device(otad, protocol):
    product = Product(otad, protocol=protocol)
    product.register("d1", secret=OLD)
    product.register("d2", secret=OLD)
    session = (aliyun if protocol == "aliyun" else native)(otad, product.key, "d1", OLD).connect()
    until = moment(otad.clock.now_ms + 7 * 86_400_000)
    assert rotate(otad, product, "d1", secret=NEW, overlap="7d") == {"secret": NEW, "old_secret_until": until}
    assert otad.ok("GET", f"/devices/{product.key}/d1")["old_secret_until"] == until
    assert not session.ended.is_set() and session.subscribe("nobody/may") == 0x80
    session.disconnect()
    assert gets_in(otad, product, "d1", OLD) and gets_in(otad, product, "d1", NEW)
    assert not gets_in(otad, product, "d2", NEW) and not gets_in(otad, product, "d1", NEW[:-1])
    otad.later("6d")
    assert gets_in(otad, product, "d1", OLD)
    otad.later("1d")
    assert not gets_in(otad, product, "d1", OLD) and gets_in(otad, product, "d1", NEW)
    assert otad.ok("GET", f"/devices/{product.key}/d1")["old_secret_until"] is None


def test_without_an_overlap(otad):
    product = Product(otad)
    product.register("d1", secret=OLD)
    session = native(otad, product.key, "d1", OLD).connect()
    made = otad.ok("POST", f"/devices/{product.key}/d1/secret")
    assert made["old_secret_until"] is None and len(made["secret"]) == 43
    assert session.ended.wait(60)
    assert not gets_in(otad, product, "d1", OLD) and gets_in(otad, product, "d1", made["secret"])
    kinds = [(row["kind"], row["text"]) for row in otad.pages(f"/devices/{product.key}/d1/timeline")]
    assert kinds[0] == ("secret", "replaced by admin.token")


VOIDS = {
    "patch": lambda otad, p: otad.ok("PATCH", f"/devices/{p.key}/d1", {"secret": "a-third-secret"}),
    "post": lambda otad, p: rotate(otad, p, "d1", secret="a-third-secret"),
    "import": lambda otad, p: otad.ok("POST", "/devices:import", body=f"product,name,secret\n{p.key},d1,a-third-secret\n",
                                      headers={"Content-Type": "text/csv"}),
}


@pytest.mark.parametrize("how", VOIDS)
def test_another_change_voids_the_old_one(otad, how):
    product = Product(otad)
    product.register("d1", secret=OLD)
    rotate(otad, product, "d1", secret=NEW, overlap="7d")
    otad.ok("PATCH", f"/devices/{product.key}/d1", {"paused": True})
    assert gets_in(otad, product, "d1", OLD)
    VOIDS[how](otad, product)
    assert [gets_in(otad, product, "d1", secret) for secret in (OLD, NEW, "a-third-secret")] == [False, False, True]


def test_one_old_secret_at_a_time(otad):
    product = Product(otad)
    product.register("d1", secret=OLD)
    rotate(otad, product, "d1", secret=NEW, overlap="7d")
    rotate(otad, product, "d1", secret="a-third-secret", overlap="1d")
    assert [gets_in(otad, product, "d1", secret) for secret in (OLD, NEW, "a-third-secret")] == [False, True, True]


def test_of_a_product(otad):
    product = Product(otad, enrolment="open", enrolment_secret=OLD)
    until = moment(otad.clock.now_ms + 86_400_000)
    made = otad.ok("POST", f"/products/{product.key}/enrolment-secret", {"overlap": "1d"})
    assert made["old_secret_until"] == until == otad.ok("GET", f"/products/{product.key}")["old_secret_until"]
    new = made["enrolment_secret"]
    otad.ok("PATCH", f"/products/{product.key}", {"name": "another"})
    for secret in (OLD, new):
        assert by_mqtt(otad, product, "unknown", secret) == 0
    product.register("known", secret="a-secret-of-its-own")
    assert gets_in(otad, product, "known", OLD) and gets_in(otad, product, "known", new)
    otad.ok("PATCH", f"/products/{product.key}", {"enrolment": "closed"})
    assert not gets_in(otad, product, "known", OLD)
    otad.ok("PATCH", f"/products/{product.key}", {"enrolment": "open"})
    otad.later("1d")
    assert not gets_in(otad, product, "known", OLD) and gets_in(otad, product, "known", new)
    otad.ok("POST", f"/products/{product.key}/enrolment-secret", {"secret": NEW, "overlap": "1d"})
    assert gets_in(otad, product, "known", new)
    otad.ok("PATCH", f"/products/{product.key}", {"enrolment_secret": OLD})
    assert [gets_in(otad, product, "known", secret) for secret in (OLD, NEW, new)] == [True, False, False]


def test_a_shared_key(otad):
    """A handshake has one key, and no identity says which: they take turns, and who came in keeps its own."""
    product = Product(otad, protocol="aliyun")
    product.register("d1", secret=OLD)

    def tries(secret):
        packet = connect_packet(**aliyun_fields(product.key, "d1", secret))
        return by_psk(otad, *psk(product.key, "d1", secret), packet) == b"\x20\x02\x00\x00"
    assert tries(OLD)
    rotate(otad, product, "d1", secret=NEW, overlap="7d")
    for secret in (OLD, NEW, OLD):
        wait_until(lambda: tries(secret), what="its turn")
        assert all(tries(secret) for _ in range(3))
    otad.later("7d")
    assert not any(tries(OLD) for _ in range(3))
    assert tries(NEW)


def test_what_cannot_be(otad):
    product = Product(otad)
    product.register("d1", secret=OLD)
    path = f"/devices/{product.key}/d1/secret"
    for body, field in (({"overlap": "367d"}, "overlap"), ({"overlap": "soon"}, "overlap"), ({"secret": "short"}, "secret"),
                        ({"secret": "with:a-colon"}, "secret"), ({"length": 5}, "length")):
        problem(otad.api("POST", path, body), 422, field)
    problem(otad.api("POST", path, {}, headers={"If-Match": '"77"'}), 412)
    problem(otad.api("POST", f"/devices/{product.key}/nobody/secret", {}), 404)
    assert gets_in(otad, product, "d1", OLD)


def test_a_repeated_request_is_one_rotation(otad):
    """Sent again, it must not void the secret that the devices have."""
    product = Product(otad)
    product.register("d1", secret=OLD)
    headers = {"Idempotency-Key": f"rotate-{product.key}"}
    made = [otad.ok("POST", f"/devices/{product.key}/d1/secret", {"overlap": "1d"}, headers=headers) for _ in range(2)]
    assert made[0] == made[1]
    assert gets_in(otad, product, "d1", OLD) and gets_in(otad, product, "d1", made[0]["secret"])


def test_at_rest_and_in_the_audit(make_otad):
    otad = make_otad()
    product = Product(otad, enrolment="open", enrolment_secret=OLD)
    product.register("d1", secret=OLD + "1")
    rotate(otad, product, "d1", secret=NEW, overlap="7d")
    line = otad.ok("GET", "/audit?limit=1")["items"][0]
    assert line["before"] == {"old_secret_until": None} and line["after"]["old_secret_until"]
    assert sorted(line["after"]["given"]) == ["overlap", "secret"]
    otad.ok("POST", f"/products/{product.key}/enrolment-secret", {"secret": NEW + "1", "overlap": "7d"})
    otad.stop()
    stored = b"".join(path.read_bytes() for path in otad.data.glob("otad.db*"))
    assert OLD.encode() not in stored and NEW.encode() not in stored
    assert OLD not in otad.log() and NEW not in otad.log()
    with sqlite3.connect(otad.data / "otad.db") as db:
        assert db.execute("SELECT count(*) FROM device_old_secret").fetchone() == (1,)
    assert (otad.data / "keys" / "secret.key").stat().st_mode & 0o777 == 0o600
    otad.start()

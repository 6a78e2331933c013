"""Who gets which offer when: campaigns that meet, devices without MQTT, devices that come back."""
import json

from files import pattern
from fleet import OFFER_FIELDS, Device, Product
from harness import basic, wait_until


# ---- campaigns that meet

def test_a_newer_campaign_supersedes_what_waits(otad, product):
    product.register("d1", secret="secret-of-d1")
    older = product.campaign(product.upload(version="1.2.0"))
    otad.wait_campaign(older, "running")
    newer = product.campaign(product.upload(version="1.3.0"))
    otad.wait_state(older, "d1", "superseded")
    otad.wait_campaign(older, "completed")
    device = Device(otad, product.key, "d1", "secret-of-d1").connect()
    device.inform("1.0.0")
    offer = device.offer()
    assert offer["version"] == "1.3.0"
    device.update(offer)
    otad.wait_state(newer, "d1", "succeeded")
    assert all(message["id"] in (None, offer["id"]) for message in device.nothing_due())
    device.disconnect()


def test_what_is_downloading_finishes_first(otad, product, device):
    older = product.campaign(product.upload(version="1.2.0"))
    first = device.offer("1.2.0")
    device.progress(first, percent=10)
    otad.wait_state(older, "d1", "downloading")
    newer = product.campaign(product.upload(version="1.3.0"))
    otad.wait_campaign(newer, "running")
    device.say("request", {})
    assert device.offer()["id"] == first["id"]
    assert otad.state_of(newer) == "queued"
    device.update(first)
    otad.wait_state(older, "d1", "succeeded")
    device.update(device.offer("1.3.0"))
    otad.wait_state(newer, "d1", "succeeded")


def test_campaigns_for_different_modules_do_not_supersede(otad, product):
    product.register("d1")
    one = product.campaign(product.upload(version="1.2.0"))
    two = product.campaign(product.upload(pattern(99), version="7", module="MCU"))
    otad.wait_campaign(one, "running")
    otad.wait_campaign(two, "running")
    assert (otad.state_of(one), otad.state_of(two)) == ("queued", "queued")


# ---- devices without MQTT, and devices that are off

def poll(otad, product, secret, version="1.0.0"):
    return otad.http("GET", f"/api/v1/device/offer?module=default&version={version}",
                     headers=basic(f"{product.key}/d1", secret))


def report(otad, product, secret, **fields):
    return otad.http("POST", "/api/v1/device/report", json.dumps(fields),
                     {**basic(f"{product.key}/d1", secret), "Content-Type": "application/json"})


def test_over_https_alone(otad, product):
    secret = product.register("d1")["secret"]
    assert poll(otad, product, secret).status == 204
    assert poll(otad, product, "wrong").status == 401
    assert otad.http("GET", "/api/v1/device/offer").status == 401
    campaign = product.campaign(product.upload(pattern(5000)))
    otad.wait_campaign(campaign, "running")
    offer = wait_until(lambda: poll(otad, product, secret).data or None)
    assert set(offer) <= OFFER_FIELDS and offer["version"] == "1.2.0"
    otad.wait_state(campaign, "d1", "offered")
    assert poll(otad, product, secret).data["id"] == offer["id"]
    for fields, state in (({"percent": 40}, "downloading"), ({"state": "downloaded"}, "downloaded"),
                          ({"state": "installing"}, "installing")):
        assert report(otad, product, secret, id=offer["id"], **fields).status in (200, 204)
        assert otad.state_of(campaign) == state
    assert otad.fetch(offer["url"]).data == pattern(5000)
    assert poll(otad, product, secret, "1.2.0").status == 204  # the poll is a version report
    otad.wait_state(campaign, "d1", "succeeded")
    assert otad.module_version(product.key, "d1") == "1.2.0"


def test_what_a_silent_device_fetches_is_its_progress(otad, product):
    secret = product.register("d1")["secret"]
    other = product.upload(pattern(7000), version="0.9.0")
    campaign = product.campaign(product.upload(pattern(100_000)))
    otad.wait_campaign(campaign, "running")
    offer = wait_until(lambda: poll(otad, product, secret).data or None)
    assert otad.http("GET", f"/firmware/{other['sha256']}", headers=basic(f"{product.key}/d1", secret)).status == 200
    assert otad.fetch(offer["url"], method="HEAD").status == 200
    assert otad.fetch(offer["url"], {"Range": "bytes=0-49999"}).data == pattern(100_000)[:50_000]
    wait_until(lambda: otad.executions(campaign)["d1"]["percent"] == 50)
    assert otad.state_of(campaign) == "downloading"
    otad.fetch(offer["url"], {"Range": "bytes=50000-"})
    otad.wait_state(campaign, "d1", "downloaded")
    assert poll(otad, product, secret, "1.2.0").status == 204
    otad.wait_state(campaign, "d1", "succeeded")


def test_open_enrolment_over_https(otad):
    product = Product(otad, enrolment="open")
    assert poll(otad, product, "wrong").status == 401
    secret = product.enrolment_secret
    assert poll(otad, product, secret).status == 204
    assert otad.module_version(product.key, "d1") == "1.0.0"
    campaign = product.campaign(product.upload())
    witness = Device(otad, product.key, "witness", secret).connect()  # of the next campaign, which starts later
    witness.inform("1.0.0")
    witness.settle()
    product.campaign(product.upload(pattern(99), module="MCU"))
    witness.offer()
    witness.disconnect()
    assert otad.state_of(campaign) == "queued"  # nobody listens on MQTT: it waits for the next poll
    assert poll(otad, product, secret).data["version"] == "1.2.0"


def test_bad_reports_over_https(otad, product):
    secret = product.register("d1")["secret"]
    campaign = product.campaign(product.upload())
    otad.wait_campaign(campaign, "running")
    offer = wait_until(lambda: poll(otad, product, secret).data or None)
    for fields in ({}, {"id": offer["id"], "percent": "many"}, {"id": offer["id"], "state": "asleep"}, {"id": []}):
        assert report(otad, product, secret, **fields).status in (200, 204, 400, 422), fields
    assert report(otad, product, "wrong", id=offer["id"], percent=5).status == 401
    other = Product(otad)
    stranger = other.register("d1")["secret"]
    assert report(otad, other, stranger, id=offer["id"], error="flash").status in (200, 204, 404, 409, 422)
    assert otad.state_of(campaign) == "offered"


def test_a_device_that_is_off_gets_its_offer_when_back(otad, product):
    device = product.device("d1").connect()
    device.inform("1.1.0")
    device.settle()
    device.disconnect()
    campaign = product.campaign(product.upload())
    otad.wait_campaign(campaign, "running")
    assert otad.state_of(campaign) == "queued"  # invariant 10: it costs nothing
    back = Device(otad, product.key, "d1", device.secret).connect()
    offer = back.offer()  # nothing said: being there is enough
    assert offer["version"] == "1.2.0"
    back.update(offer)
    otad.wait_state(campaign, "d1", "succeeded")
    back.disconnect()


def test_power_lost_while_downloading(otad, product):
    """Same offer again after it comes back: same id, no new attempt."""
    device = product.device("d1").connect()
    device.inform("1.1.0")
    campaign = product.campaign(product.upload())
    offer = device.offer()
    device.progress(offer, percent=30)
    otad.wait_state(campaign, "d1", "downloading")
    device.power_off()
    back = Device(otad, product.key, "d1", device.secret).connect()
    back.inform("1.1.0")
    again = back.offer()
    assert again["id"] == offer["id"]
    row = otad.executions(campaign)["d1"]
    assert (row["state"], row["percent"]) == ("downloading", 30)
    assert row.get("attempt", 1) == 1
    back.update(again)
    otad.wait_state(campaign, "d1", "succeeded")
    back.disconnect()

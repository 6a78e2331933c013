"""Things of AWS against the real otad and its broker, over mutual TLS: Jobs as AWS's SDKs speak them, the plainer form beside
them, and files in blocks."""
import base64
import contextlib
import hashlib
import subprocess

import pytest

from conftest import Factory
from files import DATA, SIZE, pattern
from fleet import Product, Refused
from harness import free_ports, problem, wait_until
from maker import Maker
from things import Rejected, Thing, certificate, things_folder
from walks import run_walk, walk


@pytest.fixture(scope="module")
def otad():
    with contextlib.ExitStack() as stack:
        factory = Factory(stack)
        yield factory({"mqtt_cert_port": free_ports(1)[0]})
        factory.stop()


@pytest.fixture
def folder():
    with things_folder() as path:
        yield path


class Fleet:
    """One product of AWS and the things of a test."""

    def __init__(self, otad, folder, keep, **fields):
        self.product = Product(otad, protocol="aws", **fields)
        self.otad, self.folder, self.keep = otad, folder, keep

    def register(self, name=None, **fields):
        name = name or f"{self.product.key}-thing"  # one name is one thing's, whatever its product
        self.product.register(name, **fields)
        return name, certificate(self.otad, self.product.key, name, self.folder)

    def thing(self, name=None, subscribe=(("jobs/notify-next", 1),), **fields):
        """Notices go to it whether it subscribed to them or not, and then with QoS 0."""
        name, pem = self.register(name, **fields)
        return self.keep(Thing(self.otad, name, pem, subscribe).connect())

    def campaign(self, *firmware, **fields):
        return self.product.campaign(*(firmware or [self.product.upload()]), **fields)


@pytest.fixture
def fleet(otad, folder, devices):
    return Fleet(otad, folder, devices)


# ---- jobs, as the SDKs do them

def test_from_notice_to_success_as_the_javascript_sdk_does(otad, fleet):
    thing = fleet.thing(subscribe=[("jobs/notify-next", 1), ("jobs/$next/get/accepted", 0), ("jobs/$next/get/rejected", 0)])
    campaign = fleet.campaign(fleet.product.upload(DATA))
    notice = thing.next("jobs/notify-next")
    job = notice.data["execution"]
    assert (notice.qos, notice.retain) == (1, False)
    assert list(notice.data) == ["timestamp", "execution"]
    assert list(job) == ["jobId", "thingName", "status", "queuedAt", "lastUpdatedAt", "versionNumber", "executionNumber",
                         "jobDocument"]
    assert job["jobId"] == str(otad.executions(campaign)[thing.name]["id"]) and job["thingName"] == thing.name
    assert (job["status"], job["versionNumber"], job["executionNumber"]) == ("QUEUED", 1, 1)
    assert abs(job["queuedAt"] - notice.data["timestamp"]) < 60
    assert thing.next("jobs/notify").data["jobs"] == {"QUEUED": [{
        "jobId": job["jobId"], "queuedAt": job["queuedAt"], "lastUpdatedAt": job["lastUpdatedAt"], "executionNumber": 1,
        "versionNumber": 1}]}
    otad.wait_state(campaign, thing.name, "offered")

    listed = thing.ask("jobs/get", {"thingName": thing.name, "clientToken": "t1"})
    assert listed["clientToken"] == "t1" and [j["jobId"] for j in listed["queuedJobs"]] == [job["jobId"]]
    assert listed["inProgressJobs"] == []
    described = thing.ask("jobs/$next/get", {"thingName": thing.name, "jobId": "$next"})
    assert dict(described["execution"], jobDocument=0) == dict(job, jobDocument=0) and "clientToken" not in described
    update = f"jobs/{job['jobId']}/update"
    assert list(thing.ask(update, {"status": "IN_PROGRESS", "statusDetails": {"progress": "40%"}})) == ["timestamp"]
    wait_until(lambda: otad.executions(campaign)[thing.name]["percent"] == 40)
    done = thing.ask(update, {"thingName": thing.name, "jobId": job["jobId"], "status": "SUCCEEDED", "statusDetails": {"a": "b"},
                              "expectedVersion": 2, "executionNumber": 1, "includeJobExecutionState": True})
    assert done["executionState"] == {"status": "SUCCEEDED", "statusDetails": {"a": "b"}, "versionNumber": 3}
    assert thing.next("jobs/notify").data["jobs"] == {}
    assert list(thing.next("jobs/notify-next").data) == ["timestamp"]
    assert otad.wait_state(campaign, thing.name, "succeeded")
    (module,) = otad.ok("GET", f"/devices/{fleet.product.key}/{thing.name}")["modules"]
    assert (module["version"], module["assumed"]) == ("1.2.0", True)
    assert "execution" not in thing.ask("jobs/start-next")
    assert thing.quiet() == []


def test_from_start_to_self_test_as_the_c_library_does(otad, fleet):
    """It never subscribes to an answer, is told its blocks in CBOR, and finds its details again after the reboot."""
    thing = fleet.thing()
    campaign = fleet.campaign(fleet.product.upload(DATA))
    thing.next("jobs/notify-next")
    started = thing.ask("jobs/start-next", {"clientToken": "tok"})
    job, ota = started["execution"], started["execution"]["jobDocument"]["afr_ota"]
    assert (started["clientToken"], job["status"], job["versionNumber"]) == ("tok", "IN_PROGRESS", 2)
    assert ota["protocols"] == ["MQTT", "HTTP"] and ota["streamname"] == f"otad-{job['jobId']}"
    (file,) = ota["files"]
    assert (file["filesize"], file["fileid"], file["fileType"]) == (SIZE, 0, 0)
    assert file["filepath"] and file["certfile"] and file["auth_scheme"] == "aws.s3.presigned"
    assert otad.fetch(file["update_data_url"], {"Range": "bytes=4096-8191"}).data == DATA[4096:8192]
    check_signature(otad, file["sig-sha256-ecdsa"], fleet.folder)

    got, size, update = b"", 4096, f"jobs/{job['jobId']}/update"
    for index in range(-(-SIZE // size)):
        thing.stream(ota["streamname"], "get", {"c": "rdy", "f": 0, "l": size, "o": index, "b": b"MQ==", "n": 1})
        block = thing.stream_answer(ota["streamname"], "data")
        assert (block["c"], block["f"], block["i"], block["l"]) == ("rdy", 0, index, len(block["p"]))
        got += block["p"]
    assert got == DATA
    thing.ask(update, {"status": "IN_PROGRESS", "expectedVersion": "2", "statusDetails": {"receive": "25/25"}})
    otad.wait_state(campaign, thing.name, "downloaded")
    thing.ask(update, {"status": "IN_PROGRESS", "statusDetails": {"self_test": "ready", "updatedBy": "0x90c00"}})
    otad.wait_state(campaign, thing.name, "installing")
    thing.disconnect()
    again = fleet.keep(Thing(otad, thing.name, certificate(otad, fleet.product.key, thing.name, fleet.folder)).connect())
    job = again.ask("jobs/$next/get", {"clientToken": "tok"})["execution"]
    assert (job["status"], job["versionNumber"]) == ("IN_PROGRESS", 4)
    assert job["statusDetails"] == {"self_test": "ready", "updatedBy": "0x90c00"}
    again.ask(update, {"status": "SUCCEEDED", "statusDetails": {"reason": "accepted v1.2.0", "updatedBy": "v1.1.0"}})
    otad.wait_state(campaign, thing.name, "succeeded")
    again.next("jobs/notify-next")  # it did not subscribe to it


def test_a_job_has_its_makers_signature(otad, folder, devices, tmp_path):
    maker = Maker(tmp_path)
    fleet = Fleet(otad, folder, devices, public_keys=[maker.public])
    thing = fleet.thing()
    fleet.campaign(maker.upload(fleet.product, DATA))
    thing.next("jobs/notify-next")
    (file,) = thing.ask("jobs/start-next", {"clientToken": "tok"})["execution"]["jobDocument"]["afr_ota"]["files"]
    assert maker.takes(DATA, file["sig-sha256-ecdsa"])


def check_signature(otad, text, folder):
    paths = [f"{folder}/{name}" for name in ("file", "signature", "public.pem")]
    for path, data in zip(paths, (DATA, base64.b64decode(text), otad.ok("GET", "/signing-key"))):
        with open(path, "wb") as f:
            f.write(data)
    subprocess.run(["openssl", "dgst", "-sha256", "-verify", paths[2], "-signature", paths[1], paths[0]], check=True,
                   capture_output=True)


def test_the_plainer_form(otad, folder, devices):
    """A notice with the job's id, the document for it, two chips in one: and the operator's own members."""
    fleet = Fleet(otad, folder, devices, name="温度计", job_document={"operation": "ota", "afr_ota": {"certfile": "own.pem"}})
    thing = fleet.thing("AA:BB:CC:DD:EE:01", [("job/notify", 1)], tags={"group": "north"})
    files = {"esp32": pattern(5000, 1), "stm32": pattern(6000, 2)}
    campaign = fleet.campaign(fleet.product.upload(files["esp32"], "1.1.0"),
                              fleet.product.upload(files["stm32"], "2.0", module="stm32"))
    notice = thing.next("job/notify").data
    assert list(notice) == ["timestamp", "job_id"] and all(isinstance(v, str) and v.isdigit() for v in notice.values())
    thing.publish(f"job/{notice['job_id']}/get", b"")
    document = thing.next(f"job/{notice['job_id']}/get/accepted").data
    assert list(document)[:3] == ["product", "group", "firmware"]
    assert (document["product"], document["group"], document["operation"]) == ("温度计", "north", "ota")
    assert [f["certfile"] for f in document["afr_ota"]["files"]] == ["own.pem", "own.pem"]
    assert [f["ota_type"] for f in document["firmware"]] == ["esp32", "stm32"]
    for file in document["firmware"]:
        reply = otad.fetch(file["url"])
        assert reply.data == files[file["ota_type"]] and hashlib.md5(reply.data).hexdigest() == file["md5"]
    thing.ask(f"job/{notice['job_id']}/update", {"status": "SUCCEEDED"})
    otad.wait_state(campaign, thing.name, "succeeded")
    versions = {m["module"]: m["version"] for m in otad.ok("GET", f"/devices/{fleet.product.key}/{thing.name}")["modules"]}
    assert versions == {"default": "1.1.0", "stm32": "2.0"}
    thing.publish("job/999999/get", b"{}")
    assert thing.next("job/999999/get/rejected").data["code"] == "ResourceNotFound"
    assert "job/notify" not in [m.topic for m in thing.quiet()]


def test_the_plainer_notice_is_for_those_who_subscribed(fleet):
    thing = fleet.thing(subscribe=())
    fleet.campaign()
    thing.next("jobs/notify-next")
    assert "job/notify" not in [m.topic for m in thing.quiet()]


def test_a_thing_that_was_away_is_told_when_it_is_back(otad, fleet):
    name, pem = fleet.register()
    campaign = fleet.campaign()
    otad.wait_state(campaign, name, "queued")
    thing = fleet.keep(Thing(otad, name, pem, [("jobs/notify-next", 1)]).connect())
    assert thing.next("jobs/notify-next").data["execution"]["status"] == "QUEUED"


def test_who_asks_at_once_is_not_told_as_well(otad, fleet):
    """One that hears of a job twice begins it twice."""
    (name, pem), (other, other_pem) = fleet.register(), fleet.register(f"{fleet.product.key}-other")
    campaign = fleet.campaign()
    otad.wait_state(campaign, other, "queued")
    notices = [("jobs/notify", 1), ("jobs/notify-next", 1)]
    thing = fleet.keep(Thing(otad, name, pem, notices).connect())
    assert thing.ask("jobs/$next/get")["execution"]["status"] == "QUEUED"
    # this one came later, and is told a while after its login
    silent = fleet.keep(Thing(otad, other, other_pem, notices).connect())
    assert silent.next("jobs/notify-next").data["execution"]["status"] == "QUEUED"
    thing.ask("jobs/get")
    assert [m.topic for m in thing.kept] == []


# ---- what is refused

def test_every_error_of_jobs(otad, fleet):
    thing = fleet.thing()
    campaign = fleet.campaign(policy={"max_attempts": 1})
    job = thing.next("jobs/notify-next").data["execution"]["jobId"]
    for leaf, body, code in [
            (f"jobs/{job}/remove", {}, "InvalidTopic"),
            ("jobs/get", b"{", "InvalidJson"),
            ("jobs/get", b'{"clientToken":"' + b"t" * 65 + b'"}', "InvalidRequest"),
            (f"jobs/{job}/update", {"status": "QUEUED", "clientToken": "t"}, "InvalidRequest"),
            (f"jobs/{job}/update", {"status": "FAILED", "statusDetails": {"a": 1}}, "InvalidRequest"),
            ("jobs/999999/get", {}, "ResourceNotFound"),
            ("jobs/no-number/update", {"status": "FAILED"}, "ResourceNotFound"),
            (f"jobs/{job}/get", {"executionNumber": 2}, "ResourceNotFound"),
            (f"jobs/{job}/update", {"status": "IN_PROGRESS", "expectedVersion": 2}, "VersionMismatch"),
            (f"jobs/{job}/update", {"status": "IN_PROGRESS", "expectedVersion": "2"}, "VersionMismatch")]:
        with pytest.raises(Rejected) as no:
            thing.ask(leaf, body)
        assert no.value.code == code and no.value.body["message"], (leaf, body)
        assert ("executionState" in no.value.body) == (code == "VersionMismatch")
        assert ("clientToken" in no.value.body) == (isinstance(body, dict) and "clientToken" in body)
    assert otad.state_of(campaign, thing.name) == "offered"
    thing.ask(f"jobs/{job}/update", {"status": "FAILED", "statusDetails": {"reason": "rejected: 0x3"}})
    row = otad.wait_state(campaign, thing.name, "failed")
    assert (row["reason"], row["detail"]) == ("unknown", "rejected: 0x3")
    with pytest.raises(Rejected) as no:
        thing.ask(f"jobs/{job}/get")
    assert no.value.code == "TerminalStateReached"
    with pytest.raises(Rejected) as no:
        thing.ask(f"jobs/{job}/update", {"status": "SUCCEEDED", "clientToken": "t"})
    assert no.value.code == "InvalidStateTransition"
    assert no.value.body["executionState"] == {"status": "FAILED", "statusDetails": {"reason": "rejected: 0x3"},
                                               "versionNumber": 2}


def test_cancelled_by_force_its_list_is_empty(otad, fleet):
    thing = fleet.thing()
    campaign = fleet.campaign()
    job = thing.next("jobs/notify-next").data["execution"]["jobId"]
    thing.next("jobs/notify")
    thing.ask("jobs/start-next")
    otad.ok("POST", f"/campaigns/{campaign}/cancel", {"force": True})
    assert thing.next("jobs/notify").data["jobs"] == {}
    assert "execution" not in thing.next("jobs/notify-next").data
    with pytest.raises(Rejected) as no:
        thing.ask(f"jobs/{job}/update", {"status": "SUCCEEDED"})
    assert (no.value.code, no.value.body["executionState"]["status"]) == ("InvalidStateTransition", "CANCELED")


def test_another_things_topics(otad, fleet):
    victim = fleet.thing()
    campaign = fleet.campaign(target={"devices": [victim.name]})
    job = victim.next("jobs/notify-next").data["execution"]["jobId"]
    other = fleet.thing("other-" + victim.name, [(f"{victim.base}#", 1), (f"{victim.base}jobs/notify", 1)])
    assert other.granted == [128, 128]
    other.publish(f"{victim.base}jobs/{job}/update", {"status": "FAILED"})
    other.publish(f"{victim.base}jobs/start-next", {})
    assert other.quiet() == []
    with pytest.raises(Rejected) as no:  # by its own topic: a job is its thing's alone
        other.ask(f"jobs/{job}/update", {"status": "FAILED"})
    assert no.value.code == "ResourceNotFound"
    other.stream(f"otad-{job}", "get", {"f": 0, "l": 256})
    with pytest.raises(Rejected) as no:
        other.stream_answer(f"otad-{job}", "data")
    assert no.value.body["o"] == "ResourceNotFound"
    assert [m.topic for m in victim.quiet()] == ["jobs/notify"]
    assert otad.state_of(campaign, victim.name) == "offered"


# ---- files in blocks

@pytest.fixture
def streaming(fleet):
    """A thing with a job, and the name of the job's stream."""
    thing = fleet.thing()
    fleet.campaign(fleet.product.upload(DATA))
    job = thing.next("jobs/notify-next").data["execution"]
    return thing, job["jobDocument"]["afr_ota"]["streamname"]


@pytest.mark.parametrize("form", ["json", "cbor"])
def test_a_whole_file(streaming, form):
    thing, stream = streaming
    thing.stream(stream, "describe", {"c": "d1"}, form)
    assert thing.stream_answer(stream, "description", form) == {"c": "d1", "s": 1, "d": stream, "r": [{"f": 0, "z": SIZE}]}
    parts = {}
    for first in range(0, -(-SIZE // 1000), 10):
        thing.stream(stream, "get", {"s": 1, "f": 0, "l": 1000, "o": first, "n": 10}, form)
        for _ in range(min(10, -(-SIZE // 1000) - first)):
            block = thing.stream_answer(stream, "data", form)
            bytes_ = base64.b64decode(block["p"]) if form == "json" else block["p"]
            assert block["l"] == len(bytes_) and "c" not in block
            parts[block["i"]] = bytes_
    assert b"".join(parts[i] for i in sorted(parts)) == DATA


def indexes(thing, stream, n, form="cbor"):
    return [thing.stream_answer(stream, "data", form)["i"] for _ in range(n)]


def test_bitmaps(streaming):
    thing, stream = streaming
    thing.stream(stream, "get", {"f": 0, "l": 256, "o": 20, "n": 32, "b": "0x130080"}, "json")
    assert indexes(thing, stream, 4, "json") == [20, 21, 24, 43]
    thing.stream(stream, "get", {"f": 0, "l": 256, "o": 0, "b": b"\x07", "n": 3})
    assert indexes(thing, stream, 3) == [0, 1, 2]
    thing.stream(stream, "get", {"f": 0, "l": 256, "o": 3, "b": b"MQ==", "n": 2})
    assert indexes(thing, stream, 2) == [3, 5]
    thing.stream(stream, "get", {"f": 0, "l": 256, "o": 388, "b": b"\xff\xff"})  # the file ends in between
    assert indexes(thing, stream, 3) == [388, 389, 390]
    thing.stream(stream, "describe", {})
    thing.stream_answer(stream, "description")
    assert not [m for m in thing.kept if "/data/" in m.topic]


def test_128_kib_in_one_request(otad, fleet):
    data = pattern(300_000)
    thing = fleet.thing()
    fleet.campaign(fleet.product.upload(data))
    stream = thing.next("jobs/notify-next").data["execution"]["jobDocument"]["afr_ota"]["streamname"]
    for form in ("json", "cbor"):
        thing.stream(stream, "get", {"f": 0, "l": 131072, "o": 1, "n": 1}, form)
        block = thing.stream_answer(stream, "data", form)
        assert (base64.b64decode(block["p"]) if form == "json" else block["p"]) == data[131072:262144]
    thing.stream(stream, "get", {"f": 0, "l": 32768, "n": 5})  # what is beyond is left out
    assert indexes(thing, stream, 4) == [0, 1, 2, 3]
    thing.stream(stream, "get", {"f": 0, "l": 131073})
    with pytest.raises(Rejected) as no:
        thing.stream_answer(stream, "data")
    assert no.value.body["o"] == "BlockSizeOutOfBounds"


def test_every_error_of_streams(streaming):
    thing, stream = streaming
    for name, verb, body, form, code in [
            (stream, "get", b"{", "json", "InvalidJson"),
            (stream, "get", b"\xa2\x61f\x5a\xff\xff\xff\xff", "cbor", "InvalidCbor"),  # a length that lies
            (stream, "get", {"f": 0}, "cbor", "InvalidRequest"),
            (stream, "get", {"f": 0, "l": 255}, "json", "BlockSizeOutOfBounds"),
            (stream, "get", {"f": 0, "l": 256, "o": 391}, "cbor", "OffsetOutOfBounds"),
            (stream, "get", {"f": 0, "l": 256, "o": 390, "b": b"\x02"}, "cbor", "OffsetOutOfBounds"),
            (stream, "get", {"f": 0, "l": 256, "n": 98305}, "json", "BlockCountLimitExceeded"),
            (stream, "get", {"f": 0, "l": 256, "b": b"\x01" * 12289}, "cbor", "BlockBitmapLimitExceeded"),
            (stream, "get", {"f": 0, "l": 256, "s": 2}, "json", "VersionMismatch"),
            (stream, "get", {"f": 1, "l": 256}, "cbor", "ResourceNotFound"),
            ("otad-999999", "get", {"f": 0, "l": 256}, "json", "ResourceNotFound"),
            ("another", "describe", {"c": "t"}, "cbor", "ResourceNotFound")]:
        thing.stream(name, verb, body, form)
        with pytest.raises(Rejected) as no:
            thing.stream_answer(name, "data", form)
        assert no.value.body["o"] == no.value.body["code"] == code, (name, body)
        assert no.value.body["m"] and ("c" in no.value.body) == (isinstance(body, dict) and "c" in body)
    thing.stream(stream, "get", {"f": 0, "l": 256, "o": 390})
    assert thing.stream_answer(stream, "data")["l"] == SIZE - 390 * 256


def test_a_stream_is_over_with_its_job(streaming):
    thing, stream = streaming
    thing.ask(f"jobs/{stream.removeprefix('otad-')}/update", {"status": "SUCCEEDED"})
    thing.stream(stream, "describe", {})
    with pytest.raises(Rejected) as no:
        thing.stream_answer(stream, "description")
    assert no.value.body["o"] == "ResourceNotFound"


# ---- who gets in, and names

def test_logins(otad, fleet, folder):
    name, pem = fleet.register()
    fleet.keep(Thing(otad, name, pem, client_id="whatever").connect())
    with pytest.raises(Refused):
        Thing(otad, name, None).connect()
    own = folder + "/own.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
                    f"/CN={name}", "-keyout", own + ".key", "-out", own], check=True, capture_output=True)
    with open(own, "a", encoding="ascii") as f, open(own + ".key", encoding="ascii") as key:
        f.write(key.read())
    with pytest.raises(Refused):  # nobody's certificate but the device CA's
        Thing(otad, name, own).connect()
    with pytest.raises(Refused):  # the other listener asks for no certificate
        Thing(otad, name, pem, port=otad.mqtt_port).connect()
    native = Product(otad)
    native.register("n1")
    with pytest.raises(Refused):
        Thing(otad, "n1", certificate(otad, native.key, "n1", folder)).connect()
    otad.ok("PATCH", f"/devices/{fleet.product.key}/{name}", {"enabled": False})
    with pytest.raises(Refused):
        Thing(otad, name, pem).connect()


def test_a_second_login_ends_the_first(otad, fleet):
    name, pem = fleet.register()
    first = fleet.keep(Thing(otad, name, pem, client_id="one").connect())
    gone = []
    first.client.on_disconnect = lambda *_: (gone.append(1), first.client.disconnect())
    fleet.keep(Thing(otad, name, pem, client_id="two").connect())
    wait_until(lambda: gone)


def test_names_of_things(otad, fleet):
    other = Product(otad, protocol="aws")
    name, _ = fleet.register()
    problem(otad.api("POST", "/devices", {"product": other.key, "name": name}), 409, "name", fleet.product.key)
    problem(otad.api("POST", "/devices:import", body=f"product,name\n{other.key},{name}\n".encode()), 409, fleet.product.key)
    for bad in ("a.b", "a@b"):
        problem(otad.api("POST", "/devices", {"product": other.key, "name": bad}), 422, "name")
        problem(otad.api("POST", "/devices:import", body=f"product,name\n{other.key},{bad}\n".encode()), 422, "name")
    native = Product(otad)
    native.register(name)
    problem(otad.api("PATCH", f"/products/{native.key}", {"protocol": "aws"}), 409, "protocol", fleet.product.key)
    dotted = Product(otad)
    dotted.register("a.b")
    problem(otad.api("PATCH", f"/products/{dotted.key}", {"protocol": "aws"}), 409, "protocol", "a.b")
    fine = Product(otad)
    fine.register(f"fine-{fine.key}")
    assert otad.ok("PATCH", f"/products/{fine.key}", {"protocol": "aws"})["protocol"] == "aws"
    assert fleet.product.made["success"] == "report"


# ---- the page

def test_the_walk_of_the_page(make_otad, tmp_path):
    """From nothing to an update, as docs/devices/aws.md has it; only waiting for the campaign is added."""
    otad = make_otad({"mqtt_cert_port": free_ports(1)[0]})
    script = walk("docs/devices/aws.md", {"8443": otad.https_port, "8884": otad.settings["mqtt_cert_port"]}, "ask()")
    printed = run_walk(script, otad, tmp_path)
    assert '"executionState":{"status":"SUCCEEDED","statusDetails":{"reason":"accepted v1.2.0"},"versionNumber":4}' in printed
    assert '"state":"succeeded"' in printed
    assert (tmp_path / "new.bin").read_bytes() == pattern(70001)

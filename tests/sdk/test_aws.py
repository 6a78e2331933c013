"""AWS's own SDKs as things: in by the certificate that otad made for them, and a job from its notification to SUCCEEDED."""
import uuid

import pytest

from files import pattern
from fleet import Product
from harness import WAIT_S

TIMES = {"queuedAt", "lastUpdatedAt"}
SUMMARY = TIMES | {"jobId", "executionNumber", "versionNumber"}


class Thing:
    """A thing of a product of its own, its certificate in files, and its one campaign."""

    def __init__(self, otad, folder, **fields):
        self.otad, self.folder = otad, folder
        self.product = Product(otad, key=f"aws-{uuid.uuid4().hex[:8]}", protocol="aws", **fields)
        self.name = f"thing_{uuid.uuid4().hex[:8]}:1"
        self.product.register(self.name)

    def orders(self, key_type="ec", **more):
        made = self.otad.ok("POST", f"/devices/{self.product.key}/{self.name}/certificate", {"key_type": key_type})
        paths = {"cert": ("cert.pem", made["certificate"]), "key": ("key.pem", made["key"]), "ca": ("ca.pem", made["ca"])}
        for name, text in paths.values():
            (self.folder / name).write_text(text)
        files = {order: str(self.folder / name) for order, (name, _) in paths.items()}
        return {"host": "localhost", "port": self.otad.settings["mqtt_cert_port"], "thing": self.name, **files, **more}

    def start(self):
        firmware = self.product.upload(pattern(70_001, seed=7), version="2.0.0")
        self.campaign = self.product.campaign(firmware)

    def succeeded(self):
        return self.otad.wait_state(self.campaign, self.name, "succeeded")


@pytest.fixture
def thing(otad, tmp_path):
    return Thing(otad, tmp_path)


def same_job(execution, thing, job_id, status, version):
    assert (execution["jobId"], execution["thingName"], execution["status"]) == (job_id, thing.name, status)
    assert (execution["executionNumber"], execution["versionNumber"]) == (1, version)
    assert TIMES <= execution.keys()


def downloaded(script):
    line = script.said("downloaded")
    assert line["md5"] == line["expected"]


@pytest.mark.parametrize("key_type", ["ec", "rsa"])
@pytest.mark.parametrize("mqtt", [5, 311])
def test_sdk_v2_requests_and_responses(thing, play, mqtt, key_type):
    script = play(thing.otad, "aws_v2.cjs", mqtt=mqtt, **thing.orders(key_type))
    assert script.said("unknown")["code"] == "ResourceNotFound"
    pending = script.said("ready")["pending"]
    assert (pending["inProgressJobs"], pending["queuedJobs"]) == ([], [])
    thing.start()

    queued = script.said("notify")["message"]["jobs"]
    assert list(queued) == ["QUEUED"]
    [summary] = queued["QUEUED"]
    assert SUMMARY <= summary.keys()
    job_id = summary["jobId"]
    same_job(script.said("next")["execution"], thing, job_id, "QUEUED", 1)

    started = script.said("started")["execution"]
    same_job(started, thing, job_id, "IN_PROGRESS", 2)
    assert started["statusDetails"] == {"step": "start"}
    assert "startedAt" in started
    downloaded(script)

    half = script.said("half")["executionState"]
    assert half == {"status": "IN_PROGRESS", "statusDetails": {"receive": "1/2"}, "versionNumber": 3}
    mismatch = script.said("mismatch")
    assert mismatch["code"] == "VersionMismatch"
    assert mismatch["executionState"] == half
    described = script.said("described")["execution"]
    same_job(described, thing, job_id, "IN_PROGRESS", 3)
    assert described["statusDetails"] == {"receive": "1/2"}
    assert described["jobDocument"]["afr_ota"]["streamname"] == f"otad-{job_id}"

    script.said("succeeded")
    over = script.said("over")
    assert over["code"] == "InvalidStateTransition"
    assert over["executionState"]["status"] == "SUCCEEDED"
    assert set(script.said("nothing")["message"]) == {"timestamp"}
    assert "execution" not in script.said("none")
    script.ended_well()
    thing.succeeded()


def test_sdk_v2_publish_and_subscribe(thing, play):
    script = play(thing.otad, "aws_v2_events.cjs", **thing.orders())
    pending = script.said("ready")["pending"]
    assert pending["clientToken"] == "t1"
    thing.start()

    job_id = script.said("next")["execution"]["jobId"]
    described = script.said("described")
    assert "clientToken" not in described and "jobDocument" not in described["execution"]
    same_job(described["execution"], thing, job_id, "QUEUED", 1)
    same_job(script.said("started")["execution"], thing, job_id, "IN_PROGRESS", 2)
    downloaded(script)
    refused = script.said("refused")
    assert (refused["code"], refused["clientToken"]) == ("InvalidRequest", "t2")
    assert "clientToken" not in script.said("succeeded")
    assert "execution" not in script.said("nothing")["message"]
    script.ended_well()
    thing.succeeded()


@pytest.mark.parametrize("early", [True, False])
def test_sdk_v1_jobs(otad, tmp_path, play, early):
    """early: the job is there before the thing is."""
    thing = Thing(otad, tmp_path, job_document={"operation": "install", "steps": ["a", "b"]})
    orders = thing.orders()
    if early:
        thing.start()
    script = play(otad, "aws_v1.cjs", operation="install", **orders)
    if not early:
        script.said("ready")
        thing.start()
    job = script.said("job")
    assert job["operation"] == "install"
    assert job["document"]["steps"] == ["a", "b"]
    assert job["status"]["status"] == "QUEUED"
    downloaded(script)
    script.said("succeeded")
    thing.succeeded()
    script.ended_well()


def test_a_thing_with_the_name_of_another_is_told_nothing(otad, tmp_path, play):
    """Its certificate is good, but not that thing's: the broker refuses the SDK's own subscription."""
    (tmp_path / "other").mkdir()
    thing, other = Thing(otad, tmp_path), Thing(otad, tmp_path / "other")
    script = play(thing.otad, "aws_v2.cjs", mqtt=5, **{**thing.orders(), "thing": other.name})
    script.said("connected")
    assert script.process.wait(WAIT_S) != 0
    assert len(script.said_so_far) == 1, script.story()

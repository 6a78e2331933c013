"""A maker of firmware, who has a key of its own and uses it as docs/signatures.md says."""
import base64
import hashlib
import itertools
import subprocess

from walks import parts

PAGE = "docs/signatures.md"
KINDS = {"ecdsa-p256": "", "ed25519": "ed-"}  # and how the page's walks for each begin


class Maker:
    numbers = itertools.count(1)

    def __init__(self, folder, kind="ecdsa-p256"):
        self.kind = kind
        self.folder = folder / f"maker{next(Maker.numbers)}"
        self.folder.mkdir()
        self.run("key")
        self.public = (self.folder / "maker.pub").read_text()
        self.private = (self.folder / "maker.key").read_text()

    def run(self, name):
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", parts(PAGE)[KINDS[self.kind] + name]], cwd=self.folder,
                              capture_output=True, text=True)
        return done.returncode == 0

    @property
    def fingerprint(self):
        der = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "DER"], input=self.public.encode(), capture_output=True,
                             check=True).stdout
        return hashlib.sha256(der).hexdigest()

    def raw(self, data):
        (self.folder / "app.bin").write_bytes(data)
        assert self.run("sign")
        return (self.folder / "app.sig").read_bytes()

    def sign(self, data):
        return base64.b64encode(self.raw(data)).decode()

    def upload(self, product, data, version="1.2.0"):
        return product.otad.ok("PUT", f"/firmware?product={product.key}&version={version}", body=data,
                               headers={"X-Signature": self.sign(data)})

    def takes(self, data, signature):
        """As a device of this maker would see it."""
        (self.folder / "got.bin").write_bytes(data)
        (self.folder / "got.sig").write_bytes(base64.b64decode(signature, validate=True))
        return self.run("check")

"""Certificates and kubeconfig files of a local cluster: one CA, a certificate per component, good for ten years.

They protect nothing: cluster and keys live as long as a test run. The API server insists on them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from .commands import require, run

_DAYS = "3650"


class Pki:
    """The files under one directory; `ca.crt` and `ca.key` are the cluster's own authority."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir()
        self._openssl = require("openssl", "a local cluster's certificates are made with it")
        self._certificate("ca", "/CN=carrier-test-ca", issued=False, names=())

    @property
    def ca(self) -> Path:
        """The CA's certificate."""
        return self.directory / "ca.crt"

    def issue(self, name: str, subject: str, *, names: Sequence[str] = ()) -> None:
        """Make `name`.crt and `name`.key for server and client use; `names` like `IP:127.0.0.1`, `DNS:localhost`."""
        self._certificate(name, subject, issued=True, names=names)

    def service_account_key(self) -> None:
        """Make `sa.key` and `sa.pub`, with which ServiceAccount tokens are signed and read."""
        key = self.directory / "sa.key"
        run([self._openssl, "genrsa", "-out", key, "2048"])
        run([self._openssl, "rsa", "-in", key, "-pubout", "-out", self.directory / "sa.pub"])

    def kubeconfig(self, name: str, server: str) -> Path:
        """Write `name`.kubeconfig for the holder of the certificate `name`, complete in itself but for file paths."""
        user = {
            "client-certificate": str(self.directory / f"{name}.crt"),
            "client-key": str(self.directory / f"{name}.key"),
        }
        file = self.directory / f"{name}.kubeconfig"
        file.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "carrier-test",
            "clusters": [{"name": "local", "cluster": {"server": server, "certificate-authority": str(self.ca)}}],
            "users": [{"name": name, "user": user}],
            "contexts": [{"name": "carrier-test", "context": {"cluster": "local", "user": name}}],
        }))  # fmt: skip
        return file

    def _certificate(self, name: str, subject: str, *, issued: bool, names: Sequence[str]) -> None:
        files: list[str | Path] = ["-keyout", self.directory / f"{name}.key", "-out", self.directory / f"{name}.crt"]
        authority: list[str | Path] = []
        if issued:
            authority = ["-CA", self.ca, "-CAkey", self.directory / "ca.key"]
            authority += ["-addext", "basicConstraints=critical,CA:FALSE"]
            authority += ["-addext", "extendedKeyUsage=serverAuth,clientAuth"]
        if names:
            authority += ["-addext", "subjectAltName=" + ",".join(names)]
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        run([self._openssl, "req", "-x509", *curve, "-days", _DAYS, "-subj", subject, *files, *authority])

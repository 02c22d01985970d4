"""Where the API server is and who we are: the Pod's service account, or a kubeconfig file.

Read anew for every connection's headers, since service account tokens are replaced while we run.
"""

from __future__ import annotations

import base64
import os
import ssl
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class NoCluster(Exception):
    """There is no usable configuration; the message says what was looked at."""


class ClusterConfig:
    """Base URL, TLS and the bearer token's file of one API server."""

    def __init__(
        self, url: str, tls: ssl.SSLContext | None, *, token: str | None = None, token_file: Path | None = None,
        namespace: str = "default",
    ) -> None:  # fmt: skip
        self.url = url.rstrip("/")
        self.tls = tls
        self.namespace = namespace
        self._token = token
        self._token_file = token_file

    def headers(self) -> dict[str, str]:
        """Request headers that say who we are. OSError when the token's file can't be read."""
        token = self._token_file.read_text().strip() if self._token_file is not None else self._token
        return {"Authorization": f"Bearer {token}"} if token else {}


def load(environ: Mapping[str, str], kubeconfig: str | None = None, context: str | None = None) -> ClusterConfig:
    """The service account's if we run in a pod, else the kubeconfig's (argument, KUBECONFIG, ~/.kube/config).
    NoCluster.
    """
    if kubeconfig is None and "KUBECONFIG" not in environ and environ.get("KUBERNETES_SERVICE_HOST"):
        return in_cluster(environ)
    given = kubeconfig or environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
    return from_kubeconfig(Path(given.split(os.pathsep)[0]), context)


def in_cluster(environ: Mapping[str, str], folder: Path = SERVICE_ACCOUNT) -> ClusterConfig:
    """The pod's own service account."""
    host, port = environ["KUBERNETES_SERVICE_HOST"], environ.get("KUBERNETES_SERVICE_PORT", "443")
    try:
        tls = ssl.create_default_context(cafile=str(folder / "ca.crt"))
        namespace = (folder / "namespace").read_text().strip()
    except OSError as error:
        raise NoCluster(f"the service account can't be read: {error}") from error
    host = f"[{host}]" if ":" in host else host
    return ClusterConfig(f"https://{host}:{port}", tls, token_file=folder / "token", namespace=namespace)


def from_kubeconfig(path: Path, context: str | None = None) -> ClusterConfig:
    """A kubeconfig's context (the current one unless given): tokens and client certificates, no exec plugins."""
    import yaml  # within a pod it would be memory for nothing

    try:
        document = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise NoCluster(f"{path} can't be read: {error}") from error
    try:
        wanted = context or document["current-context"]
        chosen = _named(document["contexts"], wanted)["context"]
        cluster = _named(document["clusters"], chosen["cluster"])["cluster"]
        user = _named(document["users"], chosen["user"])["user"]
        url = cluster["server"]
    except (KeyError, TypeError, LookupError) as error:
        raise NoCluster(f"{path} has no usable context: {error}") from error
    if "exec" in user or "auth-provider" in user:
        raise NoCluster(f"{path}: credential plugins are not supported; use a token or a client certificate")
    return ClusterConfig(
        url,
        _tls(cluster, user, path.parent) if url.startswith("https:") else None,
        token=user.get("token"),
        token_file=Path(user["tokenFile"]) if "tokenFile" in user else None,
        namespace=chosen.get("namespace", "default"),
    )


def _named(entries: list[dict[str, Any]], name: str) -> dict[str, Any]:
    for entry in entries:
        if entry["name"] == name:
            return entry
    raise LookupError(name)


def _tls(cluster: dict[str, Any], user: dict[str, Any], folder: Path) -> ssl.SSLContext:
    tls = ssl.create_default_context()
    if cluster.get("insecure-skip-tls-verify"):
        tls.check_hostname = False
        tls.verify_mode = ssl.CERT_NONE
    elif "certificate-authority-data" in cluster:
        tls.load_verify_locations(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
    elif "certificate-authority" in cluster:
        tls.load_verify_locations(cafile=str(folder / cluster["certificate-authority"]))
    if "client-certificate-data" in user:
        # ssl reads certificates from files only.
        with tempfile.NamedTemporaryFile("wb") as file:
            for part in ("client-certificate-data", "client-key-data"):
                file.write(base64.b64decode(user[part]) + b"\n")
            file.flush()
            tls.load_cert_chain(file.name)
    elif "client-certificate" in user:
        tls.load_cert_chain(str(folder / user["client-certificate"]), str(folder / user["client-key"]))
    return tls

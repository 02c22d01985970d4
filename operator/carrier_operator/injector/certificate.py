"""The serving certificate: from mounted files or a Secret, loaded into the live TLS context.

A connection that is being made meets either the old certificate or the new one, never none. A pair that does not load
is reported and the old one stays.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
import os
import ssl
import tempfile
from collections.abc import Set
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

LOOK_AGAIN_S = 10.0
_MOST_FLIGHTS = 10


class ServingCertificate:
    """The TLS context of the server and what it serves. `loaded` is set with the first certificate."""

    def __init__(self) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.loaded = asyncio.Event()
        self.not_after: float | None = None  # Unix seconds
        self._current: tuple[bytes, bytes] | None = None

    def load(self, certificate: bytes, key: bytes) -> bool:
        """Serve this chain and key (PEM) from now on. False when it is the same; ValueError when the pair is no
        good.
        """
        if (certificate, key) == self._current:
            return False
        try:
            # Tried apart first: a pair that does not fit must not leave the live context with half of it.
            trial = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            _load(trial, certificate, key)
            not_after = _expiry(trial, certificate)
            _load(self.context, certificate, key)
        except (ssl.SSLError, ValueError) as error:
            raise ValueError(f"the certificate can't be used: {error}") from error
        self._current = (certificate, key)
        self.not_after = not_after
        self.loaded.set()
        logger.info("certificate loaded", extra={"fields": {"not_after_unix_s": int(not_after)}})
        return True


def _expiry(trial: ssl.SSLContext, certificate: bytes) -> float:
    """Unix seconds at which the leaf expires, read by shaking hands with ourselves in memory. SSLError when it has
    expired or does not work. (A library that reads certificates would be a sixth of the process's memory.)
    """
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # the leaf itself is what we trust here
    client.load_verify_locations(cadata=certificate.decode("ascii"))
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = trial.wrap_bio(to_server, to_client, server_side=True)
    theirs = client.wrap_bio(to_client, to_server)
    finished: set[ssl.SSLObject] = set()
    for _ in range(_MOST_FLIGHTS):
        for side in (theirs, ours):
            try:
                side.do_handshake()
                finished.add(side)
            except ssl.SSLWantReadError:
                pass
        if len(finished) == 2:
            return float(ssl.cert_time_to_seconds(str((theirs.getpeercert() or {})["notAfter"])))
    raise ValueError("the handshake did not end")


def _load(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """load_cert_chain reads files only; an anonymous file in memory (where there are such) needs no writable disk."""
    if not hasattr(os, "memfd_create"):
        with tempfile.NamedTemporaryFile("wb") as named:
            named.write(certificate + b"\n" + key)
            named.flush()
            context.load_cert_chain(named.name)
        return
    descriptor = os.memfd_create("carrier-certificate")
    try:
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            file.write(certificate + b"\n" + key)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


async def follow_files(serving: ServingCertificate, folder: Path, *, look_again_s: float = LOOK_AGAIN_S) -> None:
    """Loads tls.crt and tls.key of a folder, and again whenever they change (kubelets swap mounted Secrets).
    Endless.
    """
    failed: str | None = None
    while True:
        try:
            serving.load((folder / "tls.crt").read_bytes(), (folder / "tls.key").read_bytes())
            failed = None
        except (OSError, ValueError) as error:
            if str(error) != failed:
                logger.error("certificate not loaded", extra={"fields": {"folder": str(folder), "error": str(error)}})
            failed = str(error)
        await asyncio.sleep(look_again_s)


class SecretStore:
    """The reflector's store for the one Secret that holds the certificate."""

    def __init__(self, serving: ServingCertificate) -> None:
        self._serving = serving

    def put(self, document: dict[str, Any]) -> None:
        """The Secret is new or changed."""
        data = document.get("data") or {}
        try:
            pair = [base64.b64decode(data.get(key) or "", validate=True) for key in ("tls.crt", "tls.key")]
            if all(pair):
                self._serving.load(pair[0], pair[1])
        except (ValueError, TypeError, binascii.Error) as error:
            logger.error("certificate not loaded", extra={"fields": {"error": str(error)}})

    def drop(self, document: dict[str, Any]) -> None:
        """The Secret is gone: what was served stays served."""
        logger.warning("the certificate's Secret is gone; the last one stays in use")

    def keep_only(self, names: Set[tuple[str, str]]) -> None:
        """Nothing to do: without the Secret, too, what was served stays served."""

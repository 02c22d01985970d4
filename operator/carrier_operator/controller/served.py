"""Asks an injector which certificate it serves. No more than that is asked, and nothing is believed of who answers."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import Mapping
from typing import Any

REVIEWS_PORT = "reviews"  # name of the injectors' container port
ASK_TIMEOUT_S = 3.0


def reviews_port(document: Mapping[str, Any]) -> int:
    """The port of an injector's pod where it serves reviews."""
    for container in document["spec"]["containers"]:
        for port in container["ports"]:
            if port["name"] == REVIEWS_PORT and port["containerPort"]:
                return int(port["containerPort"])
    return 8443


async def leaf_served(address: str, port: int) -> str | None:
    """The fingerprint of the certificate that is served there; nothing is believed of who serves it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        async with asyncio.timeout(ASK_TIMEOUT_S):
            _, writer = await asyncio.open_connection(address, port, ssl=context)
            try:
                found = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return None
    return hashlib.sha256(found).hexdigest() if found else None

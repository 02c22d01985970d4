"""A fake container agent on the simulated network, and sidecars that get their credentials from it."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from carrier_sidecar.http1.server import Server
from tests.simulation.sqs_fault import SqsFault

if TYPE_CHECKING:
    from carrier_sidecar.http1.requests import Request
    from tests.unit.simulated.world import World

AGENT = ("169.254.170.23", 80)
LIFE_S = 3600.0


class ContainerAgent:
    """Hands out credentials as EKS Pod Identity does: the same until shortly before their end."""

    def __init__(self, world: World, *, life_s: float = LIFE_S) -> None:
        self.asked = 0
        self.status = 200
        self.issued = 0
        self._world = world
        self._life_s = life_s
        self.expires_at = 0.0
        self._server = Server(world.loop, *AGENT, lambda _request, responder: responder.answer(*self._answer()))

    def _answer(self) -> tuple[int, bytes]:
        self.asked += 1
        if self.status != 200:
            return self.status, b"not now"
        now = self._world.loop.wall()
        if self.expires_at - now < self._life_s / 2:
            self.issued += 1
            self.expires_at = now + self._life_s
        keys = {"AccessKeyId": f"AK{self.issued}", "SecretAccessKey": "secret", "Token": f"token{self.issued}"}
        expiration = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.expires_at))
        return 200, json.dumps({**keys, "Expiration": expiration}).encode()


def start(world: World, **environ: str) -> None:
    """Start the sidecar in a pod whose credentials come from the agent."""
    url = f"http://{AGENT[0]}/v1/credentials"
    world.start(AWS_CONTAINER_CREDENTIALS_FULL_URI=url, AWS_REGION="eu-west-1", **environ)


def keys_used(world: World, since: int = 0) -> list[str]:
    """The access keys that requests were signed with, each once, in order."""
    signed = [headers["authorization"].partition("Credential=")[2] for _, headers, _ in world.server.seen[since:]]
    return list(dict.fromkeys(key.partition("/")[0] for key in signed))


def refuse_expired(world: World, agent: ContainerAgent) -> None:
    """SQS refuses what is not the newest token (as it does with what has expired)."""
    look = world.server._look_at_signature

    def look_at_token(request: Request) -> SqsFault | None:
        if request.headers.get("x-amz-security-token") != f"token{agent.issued}":
            return SqsFault("ExpiredToken", "The security token included in the request is expired", status=403)
        return look(request)

    world.server._look_at_signature = look_at_token  # type: ignore[method-assign]  # stands before it

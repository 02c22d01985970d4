"""Credentials of a profile of the shared files: static keys, assumed roles, SSO, credential_process.

All of these are botocore's business. It runs in a child process that ends at once (`child.py`), so that its memory is
not the sidecar's for good; and only when a profile has been chosen or has credentials.
"""

from __future__ import annotations

import json
import os
import sys

from carrier_sidecar.sqs.credentials.files import read_profile
from carrier_sidecar.sqs.credentials.values import Refusal, from_answer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from carrier_sidecar.loop.api import Child, Loop
    from carrier_sidecar.sqs.credentials.values import Credentials

# SSO and assumed roles make a few calls; a credential_process may be slow.
TIMEOUT_S = 60.0


class ProfileSource:
    """Asks the child process."""

    __slots__ = ("_child", "_environment", "_loop", "_region", "_was_chosen", "name")

    def __init__(self, loop: Loop, environment: Mapping[str, str], region: str) -> None:
        self._loop = loop
        self._environment = environment
        self._region = region
        self._child: Child | None = None
        self._was_chosen = False
        self.name = "profile"

    def fetch(self, done: Callable[[Credentials | Refusal], None]) -> None:
        profile = read_profile(self._environment)
        if not profile.was_chosen and not profile.has_credentials:
            done(Refusal("AWS_PROFILE is not set, and the shared files have no default profile", asked_for=False))
            return
        self.name = f"profile {profile.name}"
        self._was_chosen = profile.was_chosen

        def ended(exit_code: int, output: bytes, errors: bytes) -> None:
            self._child = None
            done(self._read(exit_code, output, errors))

        # By its path and with -P: neither the working directory nor this folder comes into the child's import path.
        program = os.path.join(os.path.dirname(__file__), "child.py")
        environment = dict(self._environment)
        if not environment.get("AWS_DEFAULT_REGION"):  # botocore knows no other; the one for STS and SSO
            environment["AWS_DEFAULT_REGION"] = environment.get("AWS_REGION") or self._region
        self._child = self._loop.spawn([sys.executable, "-P", program], environment, TIMEOUT_S, ended)

    def cancel(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child = None

    def _read(self, exit_code: int, output: bytes, errors: bytes) -> Credentials | Refusal:
        if exit_code == -9:
            return Refusal(f"botocore gave no answer within {TIMEOUT_S:g} s", asked_for=True)
        try:
            answer = json.loads(output)
        except ValueError:
            last = errors.decode("utf-8", "replace").strip().rpartition("\n")[2]
            return Refusal(f"the process that asks botocore ended with {exit_code}: {last[:200]}", asked_for=True)
        if isinstance(answer, dict) and "error" in answer:
            # Files that merely lie there must not stand in the way of the sources that need no botocore.
            return Refusal(str(answer["error"])[:400], asked_for=self._was_chosen or "missing" not in answer)
        return from_answer(answer, self.name)

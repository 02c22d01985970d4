"""The Authorization header for the handler, from a file that may change: HTTP Basic or a bearer token.

The file is looked at once a second at most, and at once after a 401: secrets are rotated by replacing files. Nothing of
its content is ever logged.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from carrier_sidecar.settings import Settings

LOOK_EVERY_S = 1.0
MOST_BYTES = 16384


class FileAuthorization:
    """`value` is the header's value as of the last look. `user`: the file holds that user's password for HTTP Basic;
    None: a bearer token. OSError or ValueError, with a reason for people, when it can't be read at first; later the
    last value stays, and `unreadable(path, reason)` is told once."""

    def __init__(self, path: str, user: str | None, unreadable: Callable[[str, str], None]) -> None:
        self._path = path
        self._user = user
        self._unreadable = unreadable
        self._look_at = 0.0
        self._failing = False
        self._seen = self._stamp()
        self.value = self._read()

    def renewed(self, now: float) -> bool:
        """Has the value changed since the last call? Costs a comparison, and once a second a look at the file."""
        if now < self._look_at:
            return False
        self._look_at = now + LOOK_EVERY_S
        return self.look()

    def look(self) -> bool:
        """Look now. True if the value has changed."""
        try:
            stamp = self._stamp()
            if stamp == self._seen:
                return False
            value = self._read()
        except (OSError, ValueError) as error:
            if not self._failing:
                self._failing = True
                self._unreadable(self._path, _words(error))
            return False
        self._failing = False
        self._seen = stamp
        changed = value != self.value
        self.value = value
        return changed

    def _stamp(self) -> tuple[int, int, int]:
        found = os.stat(self._path)
        return found.st_mtime_ns, found.st_ino, found.st_size

    def _read(self) -> str:
        with open(self._path, "rb") as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise ValueError(f"it is longer than {MOST_BYTES} bytes")
        if self._user is None:
            token = content.strip()
            if not token or not token.isascii() or not token.decode("ascii").isprintable() or b" " in token:
                raise ValueError("it holds no bearer token: one word of printable ASCII")
            return f"Bearer {token.decode('ascii')}"
        from binascii import b2a_base64

        password = content.removesuffix(b"\n").removesuffix(b"\r")
        encoded = b2a_base64(self._user.encode() + b":" + password, newline=False)
        return f"Basic {encoded.decode('ascii')}"


def _words(error: OSError | ValueError) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)


def file_authorization(settings: Settings, unreadable: Callable[[str, str], None]) -> FileAuthorization | None:
    """What the settings ask for, None for nothing. ValueError names the variable whose file can't be used."""
    variable, path, user = "", "", None
    if settings.webhook_bearer_token_file:
        variable, path = "CARRIER_WEBHOOK_BEARER_TOKEN_FILE", settings.webhook_bearer_token_file
    elif settings.webhook_password_file:
        variable, path, user = (
            "CARRIER_WEBHOOK_PASSWORD_FILE",
            settings.webhook_password_file,
            settings.webhook_username,
        )
    else:
        return None
    try:
        return FileAuthorization(path, user, unreadable)
    except (OSError, ValueError) as error:
        raise ValueError(f"{variable}={path!r} cannot be used: {_words(error)}") from None


def unreadable_files(settings: Settings) -> list[str]:
    """A sentence for each file of the handler's TLS that can't be read."""
    problems = []
    for attribute in ("webhook_ca_file", "webhook_cert_file", "webhook_key_file"):
        path = getattr(settings, attribute)
        if path:
            try:
                with open(path, "rb"):
                    pass
            except OSError as error:
                problems.append(f"CARRIER_{attribute.upper()}={path!r} cannot be used: {_words(error)}")
    return problems

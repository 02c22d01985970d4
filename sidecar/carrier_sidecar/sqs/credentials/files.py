"""Small local files that credential sources read: token files, and as much of AWS's profile files as we need to know.

Profiles themselves are resolved by botocore (`profile`); here it is only seen whether one has credentials, and its
region.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_LARGEST = 256 * 1024
_CREDENTIAL_KEYS = frozenset(
    (
        "aws_access_key_id",
        "role_arn",
        "credential_process",
        "sso_session",
        "sso_start_url",
        "sso_account_id",
        "login_session",
    )
)


def read_text(path: str) -> str:
    """The text of a small file; OSError when it can't be read, also for one that is too large or not UTF-8."""
    with open(path, "rb") as file:
        data = file.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise OSError(f"{path} is larger than {_LARGEST} bytes")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise OSError(f"{path} is not UTF-8") from None


def read_token(path: str) -> str:
    """A token from its file, without the line end. OSError for an empty one and one that could not go into a header."""
    token = read_text(path).strip()
    if not token:
        raise OSError(f"{path} is empty")
    if not (token.isascii() and token.isprintable()):
        raise OSError(f"{path} contains characters that no token has")
    return token


def why(error: OSError) -> str:
    """An OSError in a few words: "/path: No such file or directory"."""
    return f"{error.filename}: {error.strerror}" if error.filename else str(error)


def sections(text: str) -> dict[str, dict[str, str]]:
    """The sections of an INI file as AWS writes it. Nested values (indented lines) are left out; nothing is refused."""
    found: dict[str, dict[str, str]] = {}
    current: dict[str, str] = {}
    for line in text.splitlines():
        if line[:1] in ("#", ";", " ", "\t", ""):
            continue
        if line.startswith("["):
            name = " ".join(line[1:].partition("]")[0].replace('"', " ").split())
            current = found.setdefault(name, {})
            continue
        key, separator, value = line.partition("=")
        if separator:
            current[key.strip().lower()] = value.strip()
    return found


class Profile:
    """What the files say about the chosen profile: `name`, whether it `was_chosen` by a variable, whether it
    `has_credentials` of any kind, and its `region` (None when it names none)."""

    __slots__ = ("has_credentials", "name", "region", "was_chosen")

    def __init__(self, name: str, *, was_chosen: bool, has_credentials: bool, region: str | None) -> None:
        self.name = name
        self.was_chosen = was_chosen
        self.has_credentials = has_credentials
        self.region = region


def read_profile(environment: Mapping[str, str]) -> Profile:
    """Reads both files; one that is missing or unreadable is empty, as for every AWS SDK."""
    chosen = environment.get("AWS_PROFILE") or environment.get("AWS_DEFAULT_PROFILE")
    name = chosen or "default"
    home = environment.get("HOME") or ""
    config = _read_sections(environment.get("AWS_CONFIG_FILE") or "~/.aws/config", home)
    shared = _read_sections(environment.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials", home)
    values = {**config.get(name if name == "default" else f"profile {name}", {}), **shared.get(name, {})}
    return Profile(
        name,
        was_chosen=bool(chosen),
        has_credentials=not _CREDENTIAL_KEYS.isdisjoint(values),
        region=values.get("region") or None,
    )


def _read_sections(path: str, home: str) -> dict[str, dict[str, str]]:
    if path.startswith("~/"):
        path = _in_home(path, home)
    try:
        return sections(read_text(path))
    except OSError:
        return {}


def _in_home(path: str, home: str) -> str:
    """A path that begins with ~/; without HOME the account's own folder."""
    if home:
        return f"{home.rstrip('/')}/{path[2:]}"
    import os

    return os.path.expanduser(path)

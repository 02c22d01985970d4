"""Which certificate authorities the system trusts, without loading all of them.

OpenSSL's defaults are a bundle, read whole, and a folder in which each authority has a file named by its hash, read
when it is wanted. Debian fills both with the same certificates, and there reading the bundle costs every process
0.9 MB and tens of milliseconds for the one or two that it will ever look at. So where folder and bundle hold the same,
the folder alone is used. SSL_CERT_FILE and SSL_CERT_DIR name others, as for OpenSSL.
"""

from __future__ import annotations

import _ssl
import posix

from carrier_sidecar.loop.environ import read_environ

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_HASH = frozenset("0123456789abcdef")


def load_system(context: Any, environ: Mapping[str, str] | None = None) -> None:
    """Make the context trust what the system trusts."""
    folder = hashed_folder(read_environ() if environ is None else environ)
    if folder:
        context.load_verify_locations(None, folder)
    else:
        context.set_default_verify_paths()


def hashed_folder(environ: Mapping[str, str]) -> str:
    """The folder of authorities, when it has all that the bundle has; otherwise ""."""
    file_variable, file, folder_variable, folder = _ssl.get_default_verify_paths()
    file = environ.get(file_variable) or file
    folder = environ.get(folder_variable) or folder
    try:
        names = [name for name in posix.listdir(folder) if _is_hash(name)]
        if not names:
            return ""
        size = sum(posix.stat(f"{folder}/{name}").st_size for name in names)
        try:
            bundle = posix.stat(file).st_size
        except FileNotFoundError:
            bundle = size
    except OSError:
        return ""
    # The bundle is the files one after the other; one that lacks the line's end at its own end is given it. Somebody's
    # own bundle, mounted over the system's, has another size.
    return folder if 0 <= bundle - size <= len(names) else ""


def _is_hash(name: str) -> bool:
    """`4a6481c9.0`."""
    return len(name) == 10 and name[8] == "." and name[9].isdigit() and _HASH.issuperset(name[:8])

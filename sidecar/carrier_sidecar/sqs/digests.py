"""MD5 and SHA-256 without the package around them: `hashlib` loads every digest that there is."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hashlib import md5, sha256
else:
    try:
        from _hashlib import openssl_md5 as md5
        from _hashlib import openssl_sha256 as sha256
    except ImportError:  # another interpreter, or one without OpenSSL
        from hashlib import md5, sha256

try:  # for short texts several times faster than OpenSSL's, whose set-up dominates
    from _md5 import md5 as short_md5  # type: ignore[import-not-found]  # a part of the interpreter without a stub
except ImportError:
    short_md5 = md5

__all__ = ["md5", "sha256", "short_md5"]

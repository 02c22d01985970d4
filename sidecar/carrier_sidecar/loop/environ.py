"""The process's environment as text. `os.environ` says the same, but `os` and what it loads cost 0.4 MB in every pod;
the resident process calls `posix`, which `os` is a shell around."""

from __future__ import annotations

import posix


def read_environ() -> dict[str, str]:
    """Variables as they were when the process started; bytes that are no UTF-8 are kept as `os.environ` keeps them."""
    return {
        name.decode("utf-8", "surrogateescape"): value.decode("utf-8", "surrogateescape")
        for name, value in posix.environ.items()
    }

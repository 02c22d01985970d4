"""What the resident process may import: every module costs memory in every pod."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SIDECAR = Path(__file__).resolve().parents[3] / "sidecar"

# asyncio costs 4 MB; inspect, typing and logging 1 to 3 MB together; ssl is for TLS only. enum comes with json.
HEAVY = {
    *("asyncio", "argparse", "concurrent", "ctypes", "dataclasses", "datetime", "decimal", "email", "http", "inspect"),
    *("ipaddress", "logging", "pathlib", "random", "secrets", "selectors", "shutil", "ssl", "string", "subprocess"),
    *("tempfile", "threading", "traceback", "typing", "urllib", "uuid"),
}


def loaded_by(statement: str) -> set[str]:
    """Top-level modules in a bare interpreter after the statement, those of the interpreter itself left out."""
    program = f"import sys; before = set(sys.modules); {statement}; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run(
        [sys.executable, "-EsS", "-c", f"import sys; sys.path.insert(0, {str(SIDECAR)!r}); {program}"],
        capture_output=True,
        text=True,
        check=True,
    )
    return {name.split(".")[0] for name in done.stdout.split()}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the poller of other systems is selectors")
def test_the_sidecar_imports_nothing_heavy() -> None:
    loaded = loaded_by("import carrier_sidecar.run, carrier_sidecar.loop.selecting, carrier_sidecar.probes")
    assert loaded & HEAVY == set()


def test_only_the_standard_library_is_imported() -> None:
    loaded = loaded_by("import carrier_sidecar.run, carrier_sidecar.loop.selecting, carrier_sidecar.check")
    assert loaded - sys.stdlib_module_names == {"carrier_sidecar"}


def test_what_is_rare_is_not_imported() -> None:
    loaded = loaded_by("import carrier_sidecar.__main__")
    assert loaded <= {
        "carrier_sidecar",
        "__future__",
        "os",
        "stat",
        "posixpath",
        "genericpath",
        "_stat",
        "_collections_abc",
    }

"""The operator's log: one JSON object a line, whatever stands in it."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys

from carrier_operator.log import JsonFormatter

SCRIPT = r"""
import logging
from carrier_operator import log
log.set_up("info")
logging.getLogger("x").info("said", extra={"fields": {"uid": "half \ud800 pair", "text": "Grüße\n"}})
logging.getLogger("x").debug("not said")
"""


def test_half_a_surrogate_pair_loses_no_line() -> None:
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, timeout=30, check=True, env=environ)
    assert done.stderr == b""
    (line,) = done.stdout.decode().splitlines()
    said = json.loads(line)
    assert (said["msg"], said["level"], said["uid"], said["text"]) == ("said", "info", "half \ud800 pair", "Grüße\n")


def test_a_traceback_is_part_of_the_line() -> None:
    try:
        raise KeyError("defect")
    except KeyError:
        record = logging.LogRecord("x", logging.ERROR, "", 0, "failed", (), sys.exc_info())
    line = JsonFormatter().format(record)
    assert "\n" not in line
    assert "KeyError: 'defect'" in json.loads(line)["traceback"]

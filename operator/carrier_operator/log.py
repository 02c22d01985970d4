"""The operator's log: one JSON object a line on stdout, fields by `extra={"fields": {...}}`."""

from __future__ import annotations

import datetime
import io
import json
import logging
import sys


class JsonFormatter(logging.Formatter):
    """time, level, msg, logger, then the record's own fields and the traceback if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        when = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        line: dict[str, object] = {
            "time": when.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "msg": record.getMessage(),
            "logger": record.name,
        }
        fields = getattr(record, "fields", None)
        if isinstance(fields, dict):
            line.update(fields)
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


def set_up(level: str) -> None:
    """Sends everything of this level and above to stdout, replacing what was there."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Texts from outside may hold half a surrogate pair: an escape, in JSON as in Python, and no lost line.
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)

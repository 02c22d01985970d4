"""Texts that several parts of a binding share, as patterns and annotated types. Patterns are RE2 to the API server."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, WithJsonSchema

from .rules import QUANTITY_PATTERN

NAME_PATTERN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
LABEL_VALUE = r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$"
HOST = r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)"
PORT = r"(:(6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3}))?"
TARGET = r"[\x21\x22\x24-\x7e]*"  # printable ASCII but for space and #
URL = rf"^https?://{HOST}{PORT}([/?]{TARGET})?$"
QUEUE_URL = rf"^https?://{HOST}{PORT}/([\x21\x22\x24-\x3e\x40-\x7e]*/)?[A-Za-z0-9_-]+(\.fifo)?$"
PATH = rf"^/{TARGET}$"
HEADER_NAME = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"
FILE = r"^/[^\x00-\x1f]*$"
PORT_NAME = r"^[a-z0-9-]*[a-z][a-z0-9-]*$"
STATUS = r"^([1-5]xx|[1-5][0-9]{2})$"

LabelValue = Annotated[str, Field(pattern=LABEL_VALUE, max_length=63)]
FilePath = Annotated[str, Field(pattern=FILE, max_length=256)]
HttpUrl = Annotated[str, Field(pattern=URL, max_length=512)]
QueueUrl = Annotated[str, Field(pattern=QUEUE_URL, max_length=512)]
Quantity = Annotated[str, Field(pattern=QUANTITY_PATTERN, max_length=20)]
StatusRange = Annotated[str, Field(pattern=STATUS, max_length=3)]
Port = Annotated[
    Annotated[int, Field(ge=1, le=65535)] | Annotated[str, Field(pattern=PORT_NAME, min_length=1, max_length=15)],
    WithJsonSchema(
        {
            "x-kubernetes-int-or-string": True,
            "minimum": 1,
            "maximum": 65535,
            "pattern": PORT_NAME,
            "minLength": 1,
            "maxLength": 15,
        }
    ),
]

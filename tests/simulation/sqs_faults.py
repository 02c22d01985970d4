"""What a test wants to go wrong in the in-memory SQS: a plan that the server and the port consult before each call."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

Answer = dict[str, Any]
ALWAYS = 1 << 30


class Fault:
    """One planned fault; `times` calls of `action` ("" for any) meet it. In the order of a call:

    `delay_s` before anything is done; `close_before`: the connection ends, nothing is done; `code` (with `status` and
    `message`): refused, nothing is done; `fail` (positions, with `code`) and `omit` (positions): those entries of a
    batch are not done, and answered as failed, or not at all; `close_after`: done, and the connection ends without an
    answer; `raw`: done, and these bytes are the body of the answer; `edit` changes the answer.
    """

    def __init__(
        self,
        action: str = "",
        *,
        times: int = 1,
        delay_s: float = 0.0,
        close_before: bool = False,
        code: str = "",
        status: int = 400,
        message: str = "as planned",
        fail: Iterable[int] = (),
        omit: Iterable[int] = (),
        close_after: bool = False,
        raw: bytes | None = None,
        edit: Callable[[Answer], Answer] | None = None,
    ) -> None:
        self.action = action
        self.times = times
        self.delay_s = delay_s
        self.close_before = close_before
        self.code = code
        self.status = status
        self.message = message
        self.fail = frozenset(fail)
        self.omit = frozenset(omit)
        self.close_after = close_after
        self.raw = raw
        self.edit = edit


class Faults:
    """The plan. Faults are met in the order in which they were planned."""

    def __init__(self) -> None:
        self._planned: list[Fault] = []

    def plan(self, fault: Fault) -> Fault:
        """Add a fault; returned so that it can be ended by `times = 0`."""
        self._planned.append(fault)
        return fault

    def clear(self) -> None:
        self._planned.clear()

    def take(self, action: str) -> Fault | None:
        """The fault that this call meets."""
        for fault in self._planned:
            if fault.times > 0 and fault.action in ("", action):
                fault.times -= 1
                return fault
        return None


def without(params: dict[str, Any], fault: Fault | None) -> dict[str, Any]:
    """The call's parameters without the entries that the fault keeps from being done."""
    if fault is None or not (fault.fail or fault.omit) or "Entries" not in params:
        return params
    kept = [entry for at, entry in enumerate(params.get("Entries") or []) if at not in fault.fail | fault.omit]
    return {**params, "Entries": kept}


def with_failed(params: dict[str, Any], answer: Answer, fault: Fault | None) -> Answer:
    """The answer with the fault's entries as failed."""
    if fault is None or not fault.fail or "Entries" not in params:
        return answer
    failed = [
        {"Id": entry["Id"], "Code": fault.code, "Message": fault.message, "SenderFault": fault.status < 500}
        for at, entry in enumerate(params["Entries"])
        if at in fault.fail
    ]
    return {**answer, "Failed": [*answer.get("Failed", []), *failed]}

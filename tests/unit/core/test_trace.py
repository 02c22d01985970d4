from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carrier_sidecar.message import Message
from carrier_sidecar.trace import Tracing, trace_id, valid_traceparent

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
AWS = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"


class Bytes:
    """Counts on instead of drawing."""

    def __init__(self) -> None:
        self.calls = 0
        self.last = 0

    def __call__(self, count: int) -> bytes:
        self.calls += 1
        found = bytes((self.last + 1 + index) % 251 + 1 for index in range(count))
        self.last += count
        return found


def message(system: dict[str, str] | None = None, **attributes: str) -> Message:
    found = {name: {"DataType": "String", "StringValue": text} for name, text in attributes.items()}
    return Message("m", "r", b"", attributes=found or None, system=system)


def lines(text: str) -> dict[str, str]:
    assert text == "" or text.endswith("\r\n")
    return dict(line.split(": ", 1) for line in text.split("\r\n")[:-1])


def test_what_the_message_brings_is_passed_on_as_it_is() -> None:
    found = message(traceparent=PARENT, tracestate="a=1,b=2", other="x")
    assert lines(Tracing(Bytes(), make=True).headers(found)) == {"traceparent": PARENT, "tracestate": "a=1,b=2"}
    assert found.trace == f"traceparent: {PARENT}\r\n"
    assert trace_id(found.trace) == "0af7651916cd43dd8448eb211c80319c"


def test_xrays_header_is_passed_on_and_converted() -> None:
    found = message({"AWSTraceHeader": AWS})
    assert lines(Tracing(Bytes(), make=False).headers(found)) == {
        "traceparent": "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01",
        "X-Amzn-Trace-Id": AWS,
    }


def test_the_messages_own_traceparent_goes_before_xrays() -> None:
    found = lines(Tracing(Bytes(), make=False).headers(message({"AWSTraceHeader": AWS}, traceparent=PARENT)))
    assert found == {"traceparent": PARENT, "X-Amzn-Trace-Id": AWS}


@pytest.mark.parametrize(
    ("header", "flags"), [(AWS, "01"), (AWS.replace("d=1", "d=0"), "00"), (AWS.replace("d=1", "d=?"), "00"),
                          (AWS.replace(";Sampled=1", ""), "00"), (AWS + ";Lineage=a:0", "01")]
)  # fmt: skip
def test_xrays_decision_is_kept(header: str, flags: str) -> None:
    assert lines(Tracing(Bytes(), make=False).headers(message({"AWSTraceHeader": header})))["traceparent"][-2:] == flags


def test_a_root_without_a_parent_gets_a_span_of_its_own() -> None:
    found = message({"AWSTraceHeader": "Root=1-5759e988-bd862e3fe1be46a994272793"})
    context = lines(Tracing(Bytes(), make=False).headers(found))["traceparent"]
    assert valid_traceparent(context)
    assert trace_id(found.trace) == "5759e988bd862e3fe1be46a994272793"


@pytest.mark.parametrize("header", ["", "x", "Root=1-2-3",
                                    "Root=1-5759e988-bd862e3fe1be46a99427279g;Parent=53995c3f42cd8ad8",
                                    "Root=1-00000000-000000000000000000000000;Parent=53995c3f42cd8ad8"])  # fmt: skip
def test_what_is_not_of_xrays_form_is_no_context(header: str) -> None:
    assert "traceparent" not in lines(Tracing(Bytes(), make=False).headers(message({"AWSTraceHeader": header})))


@pytest.mark.parametrize("header", ["a\r\nX-Evil: 1", "Root=\x00", "é", "x" * 2000])
def test_nothing_of_xrays_header_can_break_the_request(header: str) -> None:
    assert Tracing(Bytes(), make=False).headers(message({"AWSTraceHeader": header})) == ""


@pytest.mark.parametrize("state", ["a=\r\nX: 1", "a=é", "x" * 600, ""])
def test_a_tracestate_that_no_header_may_have_is_left_out(state: str) -> None:
    assert lines(Tracing(Bytes(), make=False).headers(message(traceparent=PARENT, tracestate=state))) == {
        "traceparent": PARENT
    }


def test_a_tracestate_without_a_valid_parent_is_left_out() -> None:
    found = lines(Tracing(Bytes(), make=True).headers(message(traceparent="nonsense", tracestate="a=1")))
    assert list(found) == ["traceparent"]
    assert valid_traceparent(found["traceparent"])


@pytest.mark.parametrize("attributes", [{}, {"other": "x"}, {"traceparent": "nonsense"}])
def test_a_new_context_is_made_where_that_is_wanted_and_there_is_none(attributes: Any) -> None:
    assert Tracing(Bytes(), make=False).headers(message(**attributes)) == ""
    found = message(**attributes)
    made = lines(Tracing(Bytes(), make=True).headers(found))
    assert list(made) == ["traceparent"]
    assert valid_traceparent(made["traceparent"])
    assert found.trace == f"traceparent: {made['traceparent']}\r\n"
    assert trace_id(found.trace) == made["traceparent"].split("-")[1]


def test_every_try_of_one_delivery_has_the_same_context() -> None:
    tracing = Tracing(Bytes(), make=True)
    for found in (message(), message({"AWSTraceHeader": "Root=1-5759e988-bd862e3fe1be46a994272793"}), message(a="b")):
        assert tracing.headers(found) == tracing.headers(found) != ""


def test_contexts_differ_and_are_drawn_in_lots() -> None:
    draw = Bytes()
    tracing = Tracing(draw, make=True)
    made = {tracing.headers(message()) for _ in range(64)}
    assert len(made) == 64
    assert draw.calls == 1
    tracing.headers(message())
    assert draw.calls == 2


@pytest.mark.parametrize(
    "text",
    ["", PARENT[:-1], PARENT + "-x", PARENT.upper(), PARENT.replace("00-", "ff-"), "00-" + "0" * 32 + PARENT[35:],
     PARENT[:36] + "0" * 16 + "-01", PARENT.replace("-", "_"), PARENT[:-2] + "0g", "cc" + PARENT[2:] + "x",
     "cc" + PARENT[2:] + "-\r\n", PARENT[:10] + "é" + PARENT[11:]],
)  # fmt: skip
def test_what_is_not_a_traceparent(text: str) -> None:
    assert valid_traceparent(text) == ""


def test_a_later_version_may_have_more() -> None:
    assert valid_traceparent("cc" + PARENT[2:] + "-what-the-future-brings")


@given(st.text(max_size=80))
def test_whatever_a_message_carries_makes_at_most_whole_lines(text: str) -> None:
    found = message({"AWSTraceHeader": text}, traceparent=text, tracestate=text)
    head = Tracing(Bytes(), make=True).headers(found)
    assert head.count("\r\n") == head.count("\r") == head.count("\n") == len(lines(head))
    assert head.isascii()

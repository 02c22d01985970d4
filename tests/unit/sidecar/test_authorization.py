from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest

from carrier_sidecar.authorization import (
    LOOK_EVERY_S,
    FileAuthorization,
    file_authorization,
    unreadable_files,
)
from carrier_sidecar.settings import Settings, parse


def settings(**variables: str) -> Settings:
    needed = {"CARRIER_SQS_ENDPOINT": "http://h", "CARRIER_SQS_QUEUE_NAME": "q"}
    return parse(needed | {f"CARRIER_WEBHOOK_{name}": text for name, text in variables.items()})


def complain(path: str, reason: str) -> None:
    raise AssertionError(f"{path}: {reason}")


def replace(path: Path, content: bytes) -> None:
    """As secrets are rotated: another file takes the name."""
    other = path.with_name("other")
    other.write_bytes(content)
    os.replace(other, path)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "secret"


def test_basic_takes_the_password_as_it_is_but_for_the_line_end(file: Path) -> None:
    file.write_bytes(b" p\xc3\xa4ss:word \r\n")
    value = FileAuthorization(str(file), "me", complain).value
    assert value.startswith("Basic ")
    assert base64.b64decode(value.removeprefix("Basic ")) == b"me: p\xc3\xa4ss:word "


def test_a_bearer_token_is_one_word(file: Path) -> None:
    file.write_bytes(b"\n  abc.def-123==\n")
    assert FileAuthorization(str(file), None, complain).value == "Bearer abc.def-123=="


@pytest.mark.parametrize(
    "content", [b"", b" \n", b"two words", b"a\r\nX-Evil: 1", b"a\x00b", "tökén".encode(), b"x" * 20_000]
)
def test_what_is_no_token_is_refused_without_being_told(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(ValueError) as caught:
        FileAuthorization(str(file), None, complain)
    assert "Evil" not in str(caught.value)


def test_a_password_of_any_bytes_cannot_break_the_header(file: Path) -> None:
    file.write_bytes(b"a\r\nX-Evil: 1")
    assert FileAuthorization(str(file), "me", complain).value.isprintable()


def test_a_change_is_seen_at_the_next_look_which_is_once_a_second(file: Path) -> None:
    file.write_bytes(b"old")
    found = FileAuthorization(str(file), None, complain)
    assert not found.renewed(100.0)
    replace(file, b"new")
    assert not found.renewed(100.0 + LOOK_EVERY_S - 0.01)
    assert found.value == "Bearer old"
    assert found.renewed(100.0 + LOOK_EVERY_S)
    assert found.value == "Bearer new"
    assert not found.renewed(102.5)


def test_a_file_written_anew_with_the_same_content_is_no_change(file: Path) -> None:
    file.write_bytes(b"same")
    found = FileAuthorization(str(file), None, complain)
    replace(file, b"same")
    assert not found.look()


def test_a_file_that_goes_away_is_told_once_and_the_last_value_kept(file: Path) -> None:
    told: list[tuple[str, str]] = []
    file.write_bytes(b"old")
    found = FileAuthorization(str(file), None, lambda path, reason: told.append((path, reason)))
    file.unlink()
    assert not found.look()
    assert not found.look()
    assert told == [(str(file), "No such file or directory")]
    assert found.value == "Bearer old"
    file.write_bytes(b"")
    assert not found.look()
    file.write_bytes(b"new")
    assert found.look()
    assert found.value == "Bearer new"
    file.unlink()
    found.look()
    assert len(told) == 2


def test_the_settings_say_which(file: Path) -> None:
    file.write_bytes(b"x")
    assert file_authorization(settings(), complain) is None
    bearer = file_authorization(settings(BEARER_TOKEN_FILE=str(file)), complain)
    basic = file_authorization(settings(USERNAME="me", PASSWORD_FILE=str(file)), complain)
    assert bearer is not None
    assert basic is not None
    assert (bearer.value, basic.value) == ("Bearer x", "Basic bWU6eA==")


def test_a_file_that_cannot_be_used_names_its_variable(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    with pytest.raises(ValueError, match=r"^CARRIER_WEBHOOK_BEARER_TOKEN_FILE='.*missing' cannot be used: No such"):
        file_authorization(settings(BEARER_TOKEN_FILE=missing), complain)
    with pytest.raises(ValueError, match=r"^CARRIER_WEBHOOK_PASSWORD_FILE="):
        file_authorization(settings(USERNAME="me", PASSWORD_FILE=missing), complain)
    assert [problem.split("=")[0] for problem in unreadable_files(settings(CA_FILE=missing, CERT_FILE=missing))] == [
        "CARRIER_WEBHOOK_CA_FILE",
        "CARRIER_WEBHOOK_CERT_FILE",
    ]
    assert unreadable_files(settings(CA_FILE=__file__)) == []

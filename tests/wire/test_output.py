"""Real descriptors: pipes that stall or close, a full disk, a socket, a descriptor that is closed."""

import fcntl
import os
import pathlib
import socket
from collections.abc import Callable, Iterator

import pytest

from carrier_sidecar.output import MAX_KEPT_BYTES, Output

FULL = pathlib.Path("/dev/full")
LINE = b"x" * 99 + b"\n"


class Pipe:
    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        self.output = Output(self.writer)
        self.output.report_lost = lambda count: b"lost %d\n" % count

    def read(self) -> bytes:
        os.set_blocking(self.reader, False)
        parts = []
        try:
            while part := os.read(self.reader, 1 << 20):
                parts.append(part)
        except BlockingIOError:
            pass
        return b"".join(parts)

    def close_reader(self) -> None:
        os.close(self.reader)
        self.reader = -1


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    for fd in (pipe.reader, pipe.writer):
        if fd >= 0:
            os.close(fd)


def test_lines_go_straight_through(pipe: Pipe) -> None:
    pipe.output.write(b"one\n")
    pipe.output.write(b"two\n")
    assert pipe.read() == b"one\ntwo\n"
    assert pipe.output.dropped == 0


def test_a_stalled_reader_blocks_nothing_and_costs_whole_lines(pipe: Pipe) -> None:
    assert fcntl.fcntl(pipe.writer, fcntl.F_GETFL) & os.O_NONBLOCK == 0
    count = 3 * MAX_KEPT_BYTES // len(LINE)
    for _ in range(count):
        pipe.output.write(LINE)
    assert pipe.output.dropped > 0
    text = pipe.read()
    pipe.output.write(b"last\n")
    while part := pipe.read():
        text += part
        pipe.output._retry()
    lines = text.splitlines(keepends=True)
    assert lines[-1] == b"lost %d\n" % pipe.output.dropped
    assert lines[-2] == b"last\n"
    assert set(lines[:-2]) == {LINE}
    assert len(lines) - 2 + pipe.output.dropped == count


def test_what_is_kept_is_tried_again_by_a_timer(pipe: Pipe) -> None:
    timers: list[tuple[float, Callable[[], None]]] = []
    pipe.output.later = lambda seconds, callback: timers.append((seconds, callback))
    while not pipe.output._kept:
        pipe.output.write(LINE)
    pipe.output.write(b"last\n")
    assert len(timers) == 1
    pipe.read()
    timers[0][1]()
    assert pipe.read().endswith(b"last\n")
    assert len(timers) == 1


def test_a_closed_pipe_costs_lines_only(pipe: Pipe) -> None:
    pipe.close_reader()
    pipe.output.write(b"one\n")
    pipe.output.write(b"two\n")
    assert pipe.output.dropped == 2
    assert not pipe.output._kept


@pytest.mark.linux
@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
def test_a_full_disk_costs_lines_and_says_so_once_it_works_again(tmp_path: pathlib.Path) -> None:
    fd = os.open(FULL, os.O_WRONLY)
    output = Output(fd)
    output.report_lost = lambda count: b"lost %d\n" % count
    for _ in range(1000):
        output.write(LINE)
    lost = output.dropped
    assert 0 < lost < 1000
    target = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT)
    os.dup2(target, fd)
    output.write(b"after\n")
    text = (tmp_path / "log").read_bytes()
    os.close(target)
    os.close(fd)
    assert output.dropped == lost
    assert text == LINE * (1000 - lost) + b"after\n" + b"lost %d\n" % lost


def test_regular_files_take_lines_of_any_length(tmp_path: pathlib.Path) -> None:
    fd = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT)
    output = Output(fd)
    output.write(b"x" * 200_000 + b"\n")
    output.write(LINE)
    os.close(fd)
    assert (tmp_path / "log").read_bytes() == b"x" * 200_000 + b"\n" + LINE


def test_a_socket_that_takes_no_more_blocks_nothing() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        output = Output(ours.fileno())
        for _ in range(20_000):
            output.write(LINE)
        assert output.dropped > 0
        assert theirs.recv(100) == LINE
        assert output._socket is not None
        output._socket.close()


def test_a_descriptor_that_is_closed_at_the_start_is_not_given_to_anything_else() -> None:
    spare = os.open(os.devnull, os.O_RDONLY)
    os.close(spare)
    output = Output(spare)
    output.write(LINE)
    try:
        assert os.path.samestat(os.fstat(spare), pathlib.Path(os.devnull).stat())
        assert output.dropped == 0
    finally:
        os.close(spare)


def test_the_end_waits_a_moment_for_a_busy_reader_and_no_longer(pipe: Pipe) -> None:
    while not pipe.output._kept:
        pipe.output.write(LINE)
    pipe.output.finish(wait_s=0.1)
    assert pipe.output._kept
    pipe.read()
    pipe.output.finish(wait_s=0.1)
    assert not pipe.output._kept

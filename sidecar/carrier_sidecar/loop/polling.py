"""Which file descriptors are ready: epoll where there is one, else whatever `selectors` finds (kqueue on macOS).

Both look like select.epoll to the loop, with its flags.
"""

from __future__ import annotations

import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Poller(Protocol):
        """What the loop uses of select.epoll."""

        def register(self, fd: int, eventmask: int = ...) -> None: ...
        def modify(self, fd: int, eventmask: int) -> None: ...
        def unregister(self, fd: int) -> None: ...
        def poll(self, timeout: float | None = ..., maxevents: int = ...) -> list[tuple[int, int]]: ...
        def close(self) -> None: ...


IN = 1  # EPOLLIN
OUT = 4  # EPOLLOUT; errors and hang-ups (8, 16) are reported without being asked for


class SelectorsPoller:
    """select.epoll's methods over the `selectors` module, imported only where it is needed."""

    def __init__(self) -> None:
        import selectors

        self._selector = selectors.DefaultSelector()
        self._idle: set[int] = set()  # registered for nothing, which `selectors` does not know

    def register(self, fd: int, eventmask: int = IN) -> None:
        """Watch the descriptor; a mask of 0 keeps it known but unwatched."""
        if eventmask:
            self._selector.register(fd, _to_selectors(eventmask))
        else:
            self._idle.add(fd)

    def modify(self, fd: int, eventmask: int) -> None:
        """Watch it for something else."""
        if fd in self._idle:
            self._idle.discard(fd)
            self.register(fd, eventmask)
        elif eventmask:
            self._selector.modify(fd, _to_selectors(eventmask))
        else:
            self._selector.unregister(fd)
            self._idle.add(fd)

    def unregister(self, fd: int) -> None:
        """Forget it."""
        if fd in self._idle:
            self._idle.discard(fd)
        else:
            self._selector.unregister(fd)

    def poll(self, timeout: float | None = None, maxevents: int = -1) -> list[tuple[int, int]]:
        """Wait up to `timeout` seconds (None or negative: for ever)."""
        if timeout is not None and timeout < 0:
            timeout = None
        return [
            (key.fd, (IN if events & 1 else 0) | (OUT if events & 2 else 0))
            for key, events in self._selector.select(timeout)
        ]

    def close(self) -> None:
        """Release the descriptor behind it."""
        self._selector.close()


def _to_selectors(eventmask: int) -> int:
    return (1 if eventmask & IN else 0) | (2 if eventmask & OUT else 0)  # EVENT_READ, EVENT_WRITE


def new_poller() -> Poller:
    """The best that this system has."""
    if hasattr(select, "epoll"):
        return select.epoll()
    return SelectorsPoller()

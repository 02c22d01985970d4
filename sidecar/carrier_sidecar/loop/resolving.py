"""Names to addresses in one daemon thread of its own, started at the first need: getaddrinfo blocks, and nothing ends
it.

A look-up that its asker gave up on leaves its thread behind (it ends by itself once getaddrinfo returns); a new
thread goes on with what waits. Nothing is cached: connections are kept, so look-ups are rare.
"""

from __future__ import annotations

from _queue import Empty, SimpleQueue
from _socket import IPPROTO_TCP, SOCK_STREAM, gaierror, getaddrinfo
from _thread import start_new_thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from carrier_sidecar.loop.connecting import Address
    from carrier_sidecar.loop.selecting import SelectingLoop

    Answer = Callable[[list[Address], str], None]
    Key = tuple[str, int]

MAX_STUCK = 8  # threads left behind at once; then names just time out until one returns


class Resolver:
    """Answers arrive in the loop's thread, by a queue that the loop is woken for."""

    __slots__ = ("_answers", "_jobs", "_loop", "_stuck", "_waiting")

    def __init__(self, loop: SelectingLoop) -> None:
        self._loop = loop
        self._answers: SimpleQueue[tuple[Key, list[Address], str]] = SimpleQueue()
        self._jobs: SimpleQueue[Key | None] | None = None  # the present thread's
        self._stuck = 0
        self._waiting: dict[Key, list[Answer]] = {}  # in the order of asking: the first is the one being worked on

    def look_up(self, host: str, port: int, answer: Answer) -> Callable[[], None]:
        """Ask; `answer(addresses, "")` or `answer([], problem)` later. Returns what gives the look-up up."""
        key = (host, port)
        answers = self._waiting.get(key)
        if answers is None:
            self._waiting[key] = [answer]
            self._submit(key)
        else:
            answers.append(answer)
        return lambda: self._give_up(key, answer)

    def _submit(self, key: Key) -> None:
        if self._jobs is None:
            if self._stuck >= MAX_STUCK:
                return  # sent to the next thread that can be started
            self._jobs = SimpleQueue()
            start_new_thread(_serve, (self._jobs, self._answers, self._loop.wake))
        self._jobs.put(key)

    def _give_up(self, key: Key, answer: Answer) -> None:
        answers = self._waiting.get(key)
        if answers is None or answer not in answers:
            return
        answers.remove(answer)
        if answers:
            return
        first = next(iter(self._waiting)) == key
        del self._waiting[key]
        if first and self._jobs is not None:
            try:
                while True:
                    self._jobs.get_nowait()  # the next thread's
            except Empty:
                pass
            self._jobs.put(None)  # it ends after what it is stuck in
            self._jobs = None
            self._stuck += 1
            self._resubmit()

    def _resubmit(self) -> None:
        for key in list(self._waiting):
            self._submit(key)

    def collect(self) -> None:
        """Hand out what has been answered; called by the loop when it was woken."""
        while not self._answers.empty():
            key, addresses, problem = self._answers.get()
            if not addresses and not problem:  # a thread that was left behind has ended
                self._stuck -= 1
                if self._jobs is None:
                    self._resubmit()
            # What such a thread still finds is as good as any.
            for answer in self._waiting.pop(key, ()):
                answer(list(addresses), problem)


def _serve(
    jobs: SimpleQueue[Key | None],
    answers: SimpleQueue[tuple[Key, list[Address], str]],
    wake: Callable[[], None],
) -> None:
    """The thread: one look-up after the other, until None. Its last word is an answer without addresses or problem."""
    while True:
        key = jobs.get()
        if key is None:
            answers.put((("", 0), [], ""))
            wake()
            return
        addresses: list[Address] = []
        problem = ""
        try:
            # As bytes: for text the interpreter would load its IDNA codec, a megabyte.
            for family, _, _, _, address in getaddrinfo(key[0].encode("ascii"), key[1], 0, SOCK_STREAM, IPPROTO_TCP):
                addresses.append((family, address))
            problem = "" if addresses else "no address"
        except gaierror as error:
            problem = str(error.strerror or error)
        except (OSError, ValueError) as error:
            problem = str(error) or "not a name"
        answers.put((key, addresses, problem))
        wake()

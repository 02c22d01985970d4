"""The two ends of a connection in the simulated network: api.Stream over virtual time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from carrier_sidecar.loop.api import Receiver, Timer
from carrier_sidecar.loop.errors import (
    CONNECT_TIMEOUT,
    REFUSED,
    RESET,
    RESOLVE,
    TLS,
    UNREACHABLE,
    StreamError,
)
from tests.simulation.network import Endpoint

if TYPE_CHECKING:
    from tests.simulation.loop import SimLoop


class SimStream:
    """One end. What it writes is under way (`_flying`) until the other end has it; of that the kernel takes
    `capacity`."""

    def __init__(self, loop: SimLoop, endpoint: Endpoint, *, server: bool = False) -> None:
        self._loop = loop
        self._endpoint = endpoint
        self._server = server
        self._receiver: Receiver | None = None
        self._peer: SimStream | None = None
        self._open = False
        self._dead = False  # closed by us, or lost
        self._ending = False
        self._out: deque[bytes] = deque()
        self._in_flight = 0
        self._last_arrival = 0.0
        self._held: deque[Callable[[], None]] = deque()  # arrivals while the endpoint is stalled
        self._sent = 0
        self._attempt: SimAttempt | None = None
        self.unsent = 0
        self.sent_any = False

    # api.Stream

    def mark(self) -> None:
        self.sent_any = False

    def write(self, data: bytes) -> None:
        if self._dead or self._ending or not data:
            return
        self._out.append(bytes(data))
        self.unsent += len(data)
        self._flush()

    def end(self) -> None:
        self._receiver = None
        if not self._open:
            self.close()
            return
        self._ending = True
        self._flush()

    def close(self) -> None:
        self._receiver = None
        attempt, self._attempt = self._attempt, None
        if attempt is not None:
            attempt.abandon()
        if not self._dead:
            self._finish()

    # The network's side

    def own(self, receiver: Receiver, attempt: SimAttempt | None = None) -> None:
        self._receiver = receiver
        self._attempt = attempt

    def pair(self, peer: SimStream) -> None:
        self._peer = peer
        self._open = True
        self._endpoint.streams.append(self)

    def opened(self) -> None:
        self._attempt = None
        if self._receiver is not None:
            self._receiver.opened()
        self._flush()

    def detach(self, successor: SimStream) -> None:
        """The connection goes on under another stream."""
        peer = self._peer
        assert peer is not None
        self._receiver = None
        self._dead = True
        self._endpoint.streams.remove(self)
        successor.pair(peer)
        peer._peer = successor

    def fail(self, error: StreamError) -> None:
        receiver = self._receiver
        if self._dead:
            return
        self._dead = True
        self._forget()
        if receiver is not None:
            self._loop.call_soon(lambda: self._tell(error))

    def _tell(self, error: StreamError) -> None:
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            receiver.lost(error)

    def _forget(self) -> None:
        self._out.clear()
        self.unsent = 0
        if self in self._endpoint.streams:
            self._endpoint.streams.remove(self)

    def _finish(self) -> None:
        """Close this end; the other one learns of it after what is under way."""
        self._dead = True
        self._forget()
        peer = self._peer
        if self._open and peer is not None:
            self._send(peer.hear_end)

    def _flush(self) -> None:
        if not self._open or self._dead:
            return
        while self._out:
            room = self._endpoint.capacity - self._in_flight
            if room <= 0:
                return
            data = self._out.popleft()
            if len(data) > room:
                self._out.appendleft(data[room:])
                data = data[:room]
            self.unsent -= len(data)
            self.sent_any = True
            self._in_flight += len(data)
            self._transmit(data)
        if self._ending and not self._dead:
            self._finish()

    def _transmit(self, data: bytes) -> None:
        endpoint = self._endpoint
        limit, action = None, ""
        if self._server and endpoint.reset_after is not None:
            limit, action = endpoint.reset_after, "reset"
        elif self._server and endpoint.close_after is not None:
            limit, action = endpoint.close_after, "close"
        if limit is not None and self._sent + len(data) >= limit:
            data = data[: max(limit - self._sent, 0)]
        else:
            action = ""
        self._sent += len(data)
        pieces = [data] if data else []
        if endpoint.split and len(data) > 1:
            random = self._loop.network.random
            cuts = sorted(random.randrange(1, len(data)) for _ in range(random.randrange(0, 4)))
            pieces = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True) if a < b]
        peer = self._peer
        assert peer is not None
        for piece in pieces:
            self._send(lambda piece=piece: peer.hear(piece, self))  # type: ignore[misc] # a default binds the loop's variable
        if action == "reset":
            self._send(self.be_reset)
        elif action == "close":
            self._finish()

    def _send(self, arrive: Callable[[], None]) -> None:
        """Let something arrive at the other end, in order."""
        self._last_arrival = max(self._last_arrival, self._loop.now() + self._endpoint.latency_s)
        self._loop.call_at(self._last_arrival, lambda: self._arrive(arrive))

    def _arrive(self, arrive: Callable[[], None]) -> None:
        if self._endpoint.stalled or self._held:
            self._held.append(arrive)
        else:
            arrive()

    def pass_on(self) -> None:
        """The stall is over."""
        for end in (self, self._peer):
            while end is not None and end._held and not self._endpoint.stalled:
                end._held.popleft()()

    def hear(self, data: bytes, sender: SimStream) -> None:
        """Data arrived."""
        sender._in_flight -= len(data)
        if self._dead:
            self._loop.call_at(self._loop.now() + self._endpoint.latency_s, sender.be_cut)
        elif self._receiver is not None:
            self._receiver.received(data)
        sender._flush()

    def hear_end(self) -> None:
        """The other end has closed."""
        if self._ending and not self._dead and not self._out:
            self._finish()
        elif not self._dead and self._receiver is not None:
            self._receiver.ended()

    def be_cut(self) -> None:
        """The other end answered with a reset."""
        self.fail(StreamError(RESET, "connection reset"))

    def be_reset(self) -> None:
        """Cut the connection at both ends."""
        self.be_cut()
        if self._peer is not None:
            self._peer.be_cut()


class SimAttempt:
    """One connect(): look-up, addresses in turn, handshake, within the time."""

    def __init__(
        self, loop: SimLoop, stream: SimStream, endpoint: Endpoint, host: str, port: int, tls: bool, timeout_s: float
    ) -> None:
        self._loop = loop
        self._stream = stream
        self._endpoint = endpoint
        self._host = host
        self._port = port
        self._tls = tls
        self._addresses: list[str] = []
        self._over = False
        self._timer: Timer = loop.call_at(loop.now() + timeout_s, self._timed_out)

    def start(self) -> None:
        network = self._loop.network
        if not network.needs_resolver(self._host):
            self._resolved()
        elif not network.resolver_down:
            self._after(network.resolve_s, self._resolved)

    def secure(self) -> None:
        """Only the handshake: the connection stands."""
        self._shake_hands()

    def abandon(self) -> None:
        self._over = True
        self._timer.cancel()

    def _after(self, seconds: float, step: Callable[[], None]) -> None:
        self._loop.call_at(self._loop.now() + seconds, lambda: None if self._over else step())

    def _resolved(self) -> None:
        addresses = self._loop.network.addresses(self._host.rstrip("."))
        if not addresses:
            self._loop.call_soon(lambda: self._fail(RESOLVE, f"{self._host}: no such name"))
            return
        self._addresses = addresses
        self._next()

    def _next(self) -> None:
        endpoint = self._endpoint
        if endpoint.blackhole:
            return
        if endpoint.unreachable:
            self._after(0.0, lambda: self._fail(UNREACHABLE, f"{self._host}:{self._port}: no route"))
        elif not self._addresses:
            self._fail(REFUSED, f"{self._host}:{self._port} refused the connection")
        else:
            self._after(2 * endpoint.latency_s, self._answered)

    def _answered(self) -> None:
        endpoint = self._endpoint
        address = self._addresses.pop(0)
        accept = None if endpoint.refuse else self._loop.network.listener(address, self._port)
        if accept is None:
            self._next()
            return
        endpoint.connected += 1
        server = SimStream(self._loop, endpoint, server=True)
        self._stream.pair(server)
        server.pair(self._stream)
        if self._tls:
            # Until the handshake is done, nothing of the client's passes.
            self._stream._open = False
        server.own(accept(server))
        if self._tls:
            self._shake_hands()
        else:
            self._opened()

    def _shake_hands(self) -> None:
        if not self._endpoint.stalled:
            self._after(4 * self._endpoint.latency_s + self._endpoint.tls_s, self._shook_hands)

    def _shook_hands(self) -> None:
        if self._endpoint.tls_problem:
            self._fail(TLS, self._endpoint.tls_problem)
        else:
            self._stream._open = True
            self._opened()

    def _opened(self) -> None:
        self.abandon()
        self._stream.opened()

    def _timed_out(self) -> None:
        if not self._over:
            self._fail(CONNECT_TIMEOUT, f"{self._host}:{self._port} did not answer")

    def _fail(self, kind: str, detail: str) -> None:
        if not self._over:
            self.abandon()
            self._stream._attempt = None
            peer = self._stream._peer
            self._stream.fail(StreamError(kind, detail))
            if peer is not None:
                peer.hear_end()

"""A network in memory: names, listeners, latency and faults, for the virtual-time loop.

An `Endpoint` is what one host and port does to connections; tests turn its knobs while the simulation runs. Addresses
behave as on a real machine: `localhost` is ::1, then 127.0.0.1; a listener on all interfaces takes connections to any
address that is not claimed by another one.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING

from carrier_sidecar.loop.api import Receiver, Stream

if TYPE_CHECKING:
    from tests.simulation.streams import SimStream

Accept = Callable[[Stream], Receiver]

LOOPBACK = ("::1", "127.0.0.1")


class Endpoint:
    """One host (a name or an address) and port, as the connecting side names them.

    `latency_s`: one way; `refuse`: nobody listens; `blackhole`: connection attempts get no answer; `unreachable`: no
    route; `stalled`: what is sent, either way, arrives only once this is False again; `tls_problem`: why handshakes
    fail; `tls_s`: what one takes; `capacity`: bytes under way that the kernel takes from a sender; `reset_after` and
    `close_after`: after so many bytes from the server a connection is reset, or closed; `split`: pieces of random
    size instead of what was written."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self.latency_s = network.latency_s
        self.refuse = False
        self.blackhole = False
        self.unreachable = False
        self.tls_problem = ""
        self.tls_s = 0.0
        self.capacity = 256 * 1024
        self.reset_after: int | None = None
        self.close_after: int | None = None
        self.split = False
        self._stalled = False
        self.streams: list[SimStream] = []  # the open ones, both sides of each connection
        self.connected = 0  # connections made so far

    @property
    def stalled(self) -> bool:
        """Whether nothing passes for the time being."""
        return self._stalled

    @stalled.setter
    def stalled(self, stalled: bool) -> None:
        self._stalled = stalled
        if not stalled:
            for stream in list(self.streams):
                stream.pass_on()

    def reset_all(self) -> None:
        """Cut every open connection."""
        for stream in list(self.streams):
            stream.be_reset()


class Network:
    """`latency_s`: one way, of new endpoints. `names`: host names and their addresses; a name that a listener was
    given is its own address; other names can't be resolved. `resolve_s`: what a look-up takes; `resolver_down`: it
    never ends."""

    def __init__(self, *, seed: int = 0, latency_s: float = 0.0001, resolve_s: float = 0.0005) -> None:
        self.random = random.Random(seed)
        self.latency_s = latency_s
        self.resolve_s = resolve_s
        self.resolver_down = False
        self.names: dict[str, list[str]] = {}
        self._endpoints: dict[tuple[str, int], Endpoint] = {}
        self._listeners: dict[tuple[str, int], Accept] = {}
        self._next_port = 40000

    def endpoint(self, host: str, port: int) -> Endpoint:
        """The knobs of connections to that host (as the client names it) and port."""
        key = (host.rstrip("."), port)
        if key not in self._endpoints:
            self._endpoints[key] = Endpoint(self)
        return self._endpoints[key]

    def addresses(self, host: str) -> list[str] | None:
        """What a host resolves to; None when a resolver has to be asked and knows nothing."""
        if host == "localhost":
            return list(LOOPBACK)
        if host in self.names:
            return list(self.names[host])
        if host[:1].isdigit() or ":" in host or any(key[0] == host for key in self._listeners):
            return [host]
        return None

    def needs_resolver(self, host: str) -> bool:
        """Whether it is a name, other than localhost."""
        return host != "localhost" and not host[:1].isdigit() and ":" not in host

    def bind(self, host: str, port: int, accept: Accept) -> int:
        """Listen. OSError when somebody else does already."""
        if host == "localhost":
            host = "127.0.0.1"
        if port == 0:
            self._next_port += 1
            port = self._next_port
        if (host, port) in self._listeners:
            raise OSError(98, f"{host}:{port} is in use")
        self._listeners[host, port] = accept
        return port

    def unbind(self, host: str, port: int) -> None:
        """Listen no more."""
        self._listeners.pop(("127.0.0.1" if host == "localhost" else host, port), None)

    def listener(self, address: str, port: int) -> Accept | None:
        """Who listens there."""
        return self._listeners.get((address, port)) or self._listeners.get(("", port))

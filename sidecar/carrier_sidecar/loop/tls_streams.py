"""TLS streams. Imported only once one is asked for.

On the interpreter's `_ssl` instead of the `ssl` module above it: the latter's enumerations, and the IDNA codec that
it loads for every host name, cost each pod 2 MB of memory (0.8 MB of it private). What is used of `_ssl` is what
`ssl` itself uses, unchanged from Python 3.11 on.
"""

from __future__ import annotations

import _socket
import _ssl

from carrier_sidecar.loop.authorities import load_system
from carrier_sidecar.loop.errors import CLOSED, CONNECT_TIMEOUT, RESET, StreamError
from carrier_sidecar.loop.errors import TLS as TLS_ERROR
from carrier_sidecar.loop.polling import IN, OUT
from carrier_sidecar.loop.streams import RECEIVE_SIZE, SocketStream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from carrier_sidecar.loop.api import Receiver, Stream, Timer
    from carrier_sidecar.loop.selecting import SelectingLoop
    from carrier_sidecar.loop.tls import TLS

_VERSIONS = {"1.2": 0x0303, "1.3": 0x0304}
# SSL_OP_NO_RENEGOTIATION: reading never has to wait for writing, nor the other way round.
_NO_RENEGOTIATION = 0x40000000
_RECORD = 16384  # the most that one record carries; a write of no more is taken whole or not at all
_RECORDS_AT_ONCE = 16  # read in one go, then others have their turn


# Those without a client's certificate, by what they are made of. A context holds all authorities of its file: a
# megabyte for the usual bundle.
_contexts: dict[tuple[str, bool, str | None], Any] = {}


def context_of(tls: TLS) -> Any:
    """The value's context, made once, and shared among values that differ in nothing but the server's name. OSError
    naming the file that can't be loaded."""
    key = (tls.min_version, tls.verify, tls.ca_file)
    if tls.context is None and tls.client_cert is None:
        tls.context = _contexts.get(key)
    if tls.context is None:
        context = _ssl._SSLContext(_ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = _VERSIONS[tls.min_version]
        context.options |= _NO_RENEGOTIATION
        if not tls.verify:
            context.check_hostname = False
            context.verify_mode = _ssl.CERT_NONE
        elif tls.ca_file is None:
            load_system(context)
        else:
            _load(tls.ca_file, context.load_verify_locations, tls.ca_file)
        if tls.client_cert is not None:
            _load(tls.client_cert, context.load_cert_chain, tls.client_cert, tls.client_key or tls.client_cert)
        else:
            _contexts[key] = context
        tls.context = context
    return tls.context


def _load(name: str, load: Any, *arguments: str) -> None:
    try:
        load(*arguments)
    except OSError as error:
        reason = error.strerror if not isinstance(error, _ssl.SSLError) else _reason(error)
        raise OSError(error.errno, f"cannot load {name}: {reason}") from error


def _reason(error: OSError) -> str:
    """`[SSL: X] certificate verify failed: why (_ssl.c:992)` without what only programmers of OpenSSL want."""
    text = str(error.strerror or error)
    if text.startswith("["):
        text = text.partition("] ")[2]
    return text.partition(" (_ssl.c")[0] or "TLS failed"


class _Socket(_socket.socket):
    """OpenSSL's side keeps a weak reference to the socket, which a plain one can't have."""

    __slots__ = ("__weakref__",)


class TLSStream(SocketStream):
    """A client's stream that encrypts. `_send` and `_recv` are those of TLS, with the exceptions of a plain socket."""

    __slots__ = ("_shaking", "_ssl", "_tls")

    def __init__(self, loop: SelectingLoop, tls: TLS) -> None:
        super().__init__(loop)
        self._tls = tls
        self._ssl: Any = None
        self._shaking = False

    def connected(self, sock: _socket.socket) -> None:
        """The TCP connection stands: shake hands."""
        if self.begin(sock, IN):
            self._shake_hands()

    def begin(self, sock: _socket.socket, interest: int) -> bool:
        """Put TLS on the socket; the handshake goes on when the poller reports what is of interest."""
        fd = sock.detach()
        sock = _Socket(fileno=fd)
        sock.setblocking(False)
        try:
            self._ssl = context_of(self._tls)._wrap_socket(sock, False, self._tls.server_hostname)
        except (OSError, ValueError) as error:  # files, or a name that can't be one
            self.attach(sock, IN)
            self._fail_handshake(TLS_ERROR, str(error.strerror if isinstance(error, OSError) else error))
            return False
        self._shaking = True
        self.attach(sock, interest)
        self._send = self._encrypt
        self._recv = self._decrypt
        return True

    def _shake_hands(self) -> None:
        try:
            self._ssl.do_handshake()
        except _ssl.SSLWantReadError:
            self._want(IN)
        except _ssl.SSLWantWriteError:
            self._want(IN | OUT)
        except _ssl.SSLCertVerificationError as error:
            why = getattr(error, "verify_message", "") or _reason(error)
            self._fail_handshake(TLS_ERROR, f"the certificate of {self._tls.server_hostname} is not accepted: {why}")
        except (_ssl.SSLEOFError, _ssl.SSLZeroReturnError):
            self._fail_handshake(
                TLS_ERROR, f"{self._tls.server_hostname} closed the connection within the TLS handshake"
            )
        except _ssl.SSLError as error:
            self._fail_handshake(TLS_ERROR, f"TLS handshake with {self._tls.server_hostname}: {_reason(error)}")
        except OSError as error:
            self._fail_handshake(RESET, f"TLS handshake with {self._tls.server_hostname}: {error.strerror or error}")
        else:
            self._shaking = False
            self._want(IN)
            self.finish_opening()

    def _fail_handshake(self, kind: str, detail: str) -> None:
        attempt = self._attempt
        if attempt is not None:
            attempt.opened()  # its part is done
        self.fail(StreamError(kind, detail))

    def write(self, data: bytes) -> None:
        """Send at once what the kernel takes; buffer the rest."""
        if self._shaking:
            self._hold(data, 0)
        else:
            super().write(data)

    def _encrypt(self, data: bytes | memoryview) -> int:
        """Like socket.send. Record by record, so that it is known whether anything has gone."""
        view = memoryview(data)
        taken = 0
        try:
            while taken < len(view):
                # A record that did not go is tried again with the same bytes, as OpenSSL wants it: the buffer begins
                # there.
                taken += self._ssl.write(view[taken : taken + _RECORD])
        except (_ssl.SSLWantWriteError, _ssl.SSLWantReadError):
            self.sent_any = True  # a part of a record may have gone
            if not taken:
                raise BlockingIOError from None
        except OSError:
            if taken:
                self.sent_any = True
            raise
        return taken

    def _decrypt(self, size: int) -> bytes:
        """Like socket.recv: one record at most."""
        try:
            data: bytes = self._ssl.read(size)
        except (_ssl.SSLWantReadError, _ssl.SSLWantWriteError):
            raise BlockingIOError from None  # half a record, or one without data (a session ticket)
        except _ssl.SSLZeroReturnError:
            return b""
        return data

    def _ready(self, events: int) -> None:
        if self._shaking:
            self._shake_hands()
            return
        if events != IN and not self._may_read(events):
            return
        for _ in range(_RECORDS_AT_ONCE):
            try:
                data = self._decrypt(RECEIVE_SIZE)
            except BlockingIOError:
                return
            except _ssl.SSLEOFError:
                self.fail(StreamError(CLOSED, "the connection was closed without TLS's closing message"))
                return
            except _ssl.SSLError as error:
                self.fail(StreamError(TLS_ERROR, _reason(error)))
                return
            except OSError as error:
                self._break(error)
                return
            if not data:
                self._end_of_input()
                return
            received = self._received
            if received is not None:
                received(data)
            # A full record has more behind it, as a rule; what OpenSSL holds already, the poller can't see.
            if self._fd < 0 or (len(data) < _RECORD and not self._ssl.pending()):
                return

    def _release(self) -> None:
        super()._release()
        self._shaking = False
        self._ssl = None


class _Upgrade:
    """The time for a handshake on a stream that was open already; to the stream it is what Attempt is to a new one."""

    __slots__ = ("_stream", "_timer")

    def __init__(self, loop: SelectingLoop, stream: TLSStream, timeout_s: float) -> None:
        self._stream: TLSStream | None = stream
        self._timer: Timer = loop.call_at(loop.now() + timeout_s, self._timed_out)

    def _timed_out(self) -> None:
        stream = self._stream
        if stream is not None:
            self._stream = None
            stream.fail(StreamError(CONNECT_TIMEOUT, "no TLS handshake in time"))

    def opened(self) -> None:
        self._stream = None
        self._timer.cancel()

    def abandon(self) -> None:
        self.opened()


def upgrade(loop: SelectingLoop, plain: Stream, secured: TLSStream, receiver: Receiver, timeout_s: float) -> None:
    """Begin the handshake on the plain stream's connection."""
    assert isinstance(plain, SocketStream)
    secured.own(receiver, _Upgrade(loop, secured, timeout_s))
    # Not a step of the handshake from in here: it could be the last one, and nobody is called back from inside his
    # own call.
    secured.begin(plain.detach(), IN | OUT)

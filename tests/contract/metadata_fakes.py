"""Fakes of the services that hand out credentials (STS, container agents, instance metadata), over real HTTP."""

from __future__ import annotations

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Answer = tuple[int, str]


class Seen:
    """One request as it came."""

    def __init__(self, method: str, path: str, headers: dict[str, str], body: bytes) -> None:
        self.method = method
        self.path = path
        self.headers = headers
        self.body = body

    @property
    def form(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(self.body.decode()).items()}


class Fake:
    """Answers by `answer(request)`; `seen` collects the requests."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.seen: list[Seen] = []
        self.answer: Callable[[Seen], Answer] = lambda request: (404, "")


@contextlib.contextmanager
def fake_service() -> Iterator[Fake]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            seen = Seen(self.command, self.path, headers, body)
            fake.seen.append(seen)
            status, text = fake.answer(seen)
            data = text.encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_PUT = do_POST = _handle  # noqa: N815  # the standard library's names

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the standard library's
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    fake = Fake(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


EXPIRES = "2099-01-02T03:04:05Z"


def keys(name: str, **more: str) -> str:
    """Credentials as metadata services answer them."""
    fields = {"AccessKeyId": f"AK{name}", "SecretAccessKey": f"secret/{name}+=", "Token": f"token/{name}+="}
    return json.dumps({**fields, "Expiration": EXPIRES, **more})


def sts_answer(name: str, action: str = "AssumeRoleWithWebIdentity") -> str:
    """What STS answers when it gives credentials."""
    return f"""<{action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><{action}Result>
<SubjectFromWebIdentityToken>system:serviceaccount:shop:orders</SubjectFromWebIdentityToken>
<AssumedRoleUser><Arn>arn:aws:sts::123456789012:assumed-role/r/s</Arn><AssumedRoleId>AROA:s</AssumedRoleId></AssumedRoleUser>
<Credentials><SessionToken>token/{name}&amp;==</SessionToken><SecretAccessKey>secret/{name}+=</SecretAccessKey>
<Expiration>{EXPIRES}</Expiration><AccessKeyId>AK{name}</AccessKeyId></Credentials>
</{action}Result><ResponseMetadata><RequestId>1-2-3</RequestId></ResponseMetadata></{action}Response>"""


def sts_error(code: str, message: str) -> str:
    return (
        f'<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>{code}</Code>'
        f"<Message>{message}</Message></Error><RequestId>1-2-3</RequestId></ErrorResponse>"
    )

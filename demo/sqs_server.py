"""moto's SQS server for the demonstration: the real thing, with two of its slow ways about large queues shortened.

    python -m demo.sqs_server          listens on 127.0.0.1, any free port, and prints its address

For each message that it hands out moto computes all attributes of the queue, which reads the clock several times per
message that is in it: with a thousand waiting, one receive of ten takes a quarter of a second. Nothing that a client
can see changes.
"""

from __future__ import annotations

import logging
import sys
import time
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.sqs import models
from werkzeug.serving import make_server


def _retained(backend: Any, queue_name: str, message: Any) -> bool:
    retention_s: int = backend.get_queue(queue_name).message_retention_period
    return bool(retention_s + message.sent_timestamp / 1000 > time.time())


def main() -> int:
    patched: Any = models
    patched.unix_time = time.time
    patched.unix_time_millis = lambda: time.time() * 1000
    patched.SQSBackend.is_message_valid_based_on_retention_period = _retained
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=True)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Puts the parts of the SQS side together for an environment: region, clock, credentials, queue."""

from __future__ import annotations

from carrier_sidecar.sqs.clock import ServerClock
from carrier_sidecar.sqs.credentials.chain import Chain, default_sources
from carrier_sidecar.sqs.credentials.files import read_profile
from carrier_sidecar.sqs.credentials.store import CredentialStore, random_draw
from carrier_sidecar.sqs.protocol import CONTENT_TYPE_ATTRIBUTE
from carrier_sidecar.sqs.queue import SqsQueue
from carrier_sidecar.sqs.region import NoRegion, choose_region
from carrier_sidecar.sqs.web import Web
from carrier_sidecar.trace import ATTRIBUTES as TRACE_ATTRIBUTES
from carrier_sidecar.url import parse_url

# AWS closes idle connections after about a minute.
IDLE_S = 45.0
# Ten messages of 1 MiB of which every character is escaped as \uXXXX, and what stands around them.
MAX_ANSWER = 10 * 6 * (1 << 20) + (4 << 20)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from carrier_sidecar.loop.api import Loop
    from carrier_sidecar.settings import Settings
    from carrier_sidecar.sqs.queue import Note


def build_queue(
    loop: Loop, settings: Settings, environ: Mapping[str, str], note: Note, draw: Callable[[], float] = random_draw
) -> SqsQueue:
    """A queue that is not open yet. Nothing is sent. `draw` gives random numbers in [0, 1)."""
    endpoint = parse_url(settings.sqs_endpoint)
    problem = ""
    try:
        region = choose_region(settings.sqs_region, endpoint.host, environ, read_profile(environ).region)
    except NoRegion as error:
        region = ""
        problem = str(error)
    web = Web(loop, environ, ca_file(environ))
    proxy = None
    try:
        proxy = web.proxy(endpoint)
    except ValueError as error:
        problem = problem or f"the proxy can't be used: {error}"
    clock = ServerClock(loop.wall, loop.now)
    return SqsQueue(
        loop,
        endpoint=endpoint,
        pool=web.pool(endpoint, proxy, idle_s=IDLE_S, max_body=MAX_ANSWER),
        clock=clock,
        credentials=CredentialStore(loop, clock, Chain(default_sources(web, environ, region)), draw, note),
        region=region,
        queue_name=settings.sqs_queue_name,
        queue_url=settings.sqs_queue_url,
        queue_owner=settings.sqs_queue_owner,
        attribute_names=attribute_names(
            settings.webhook_attribute_headers,
            trace=settings.webhook_trace_context != "off",
            everything=settings.sends_dead_letters,
        ),
        note=note,
        problem=problem,
    )


def ca_file(environ: Mapping[str, str]) -> str | None:
    """AWS_CA_BUNDLE, else SSL_CERT_FILE, else None: the system's own, which is also what SSL_CERT_DIR is a part of."""
    bundle = environ.get("AWS_CA_BUNDLE")
    if bundle or environ.get("SSL_CERT_DIR"):
        return bundle or None
    return environ.get("SSL_CERT_FILE") or None


def attribute_names(wanted: Sequence[str], *, trace: bool = False, everything: bool = False) -> tuple[str, ...]:
    """What to ask for so that these attributes (or all: *) and the content type come along, with `trace` those of trace
    context, too. `everything`: a dead letter keeps all of its attributes."""
    if everything or "*" in wanted:
        return ("All",)
    return tuple(dict.fromkeys((CONTENT_TYPE_ATTRIBUTE, *(TRACE_ATTRIBUTES if trace else ()), *wanted)))

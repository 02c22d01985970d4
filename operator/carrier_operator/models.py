"""The CarrierBinding as users write it: the one source of the CRD, the reference page and the validation in the
operator.

Field descriptions are written for `kubectl explain`. Every constraint here has accepted and refused cases in
tests/operator_cases.py, which run against these models and against a real API server.
Not here: what the fields mean for the sidecar's environment (render.py) and what the controller writes back
(status.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import Field

from .model_sidecar import Sidecar
from .model_types import QUEUE_URL, HttpUrl, LabelValue, QueueUrl, StatusRange
from .model_webhook import Webhook
from .rules import DurationBetween, Rule, Shape, seconds

GROUP = "carrier.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "CarrierBinding"
PLURAL = "carrierbindings"
NAME_MAX_LENGTH = 40  # the container is called carrier-<name>; a container's name is a DNS label of at most 63


class SelectorRequirement(Shape):
    """One expression over a pod's labels."""

    key: str = Field(min_length=1, max_length=317, description="The label's key.")
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"] = Field(description="How the label is compared.")
    values: list[LabelValue] | None = Field(
        None, max_length=32, description="The values for In and NotIn; empty for Exists and DoesNotExist."
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.operator in ['In', 'NotIn'] ? has(self.values) && size(self.values) > 0 "
            ": !has(self.values) || size(self.values) == 0",
            "give values with In and NotIn, and none with Exists and DoesNotExist",
            lambda it: bool(it.values) == (it.operator in ("In", "NotIn")),
        ),
    )


class Selector(Shape):
    """Which pods of the binding's namespace get the sidecar without asking for it."""

    match_labels: Annotated[dict[str, LabelValue], Field(max_length=16)] | None = Field(
        None, description="Labels that the pod must carry with these values."
    )
    match_expressions: list[SelectorRequirement] | None = Field(
        None, max_length=16, description="Expressions that the pod's labels must all satisfy."
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "(has(self.matchLabels) && size(self.matchLabels) > 0) || "
            "(has(self.matchExpressions) && size(self.matchExpressions) > 0)",
            "an empty selector would match every pod: name at least one label, "
            "or leave the selector out and let pods ask by annotation",
            lambda it: bool(it.match_labels) or bool(it.match_expressions),
        ),
    )


class Queue(Shape):
    """The SQS queue that the sidecar receives from."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+(\.fifo)?$", min_length=1, max_length=80)] | None = Field(
        None, description="The queue's name; resolved by GetQueueUrl. Either name or url."
    )
    url: QueueUrl | None = Field(None, description="The queue's full URL. Either name or url.")
    endpoint: HttpUrl | None = Field(
        None, description="Base URL of the SQS API. Left out: AWS's own for the region (of the queue's url, or region)."
    )
    region: Annotated[str, Field(pattern=r"^[a-z0-9-]+$", min_length=1, max_length=32)] | None = Field(
        None, description="The region that requests are signed for. Left out: read from the endpoint's host."
    )
    owner: Annotated[str, Field(pattern=r"^[0-9]{12}$", max_length=12)] | None = Field(
        None, description="The AWS account that owns the queue, when it is not the sidecar's own."
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.name) != has(self.url)",
            "name the queue by exactly one of name and url",
            lambda it: (it.name is None) != (it.url is None),
        ),
        Rule(
            "has(self.url) || has(self.endpoint) || has(self.region)",
            "with a queue's name, say the endpoint (such as https://sqs.us-west-2.amazonaws.com) or the region",
            lambda it: it.url is not None or it.endpoint is not None or it.region is not None,
        ),
        Rule(
            "!has(self.owner) || has(self.name)",
            "owner belongs to name: a url says the account itself",
            lambda it: it.owner is None or it.name is not None,
        ),
    )


class Concurrency(Shape):
    """How much a sidecar takes on at once."""

    receivers: int = Field(1, ge=1, le=64, description="Concurrent long polls.")
    workers: int = Field(1, ge=0, le=1000, description="POSTs at once per receiver; 0 means the batch size.")
    batch_size: int = Field(1, ge=1, le=10, description="Messages asked for in one receive.")
    max_in_flight: int | None = Field(
        None, ge=1, le=10000, description="POSTs at once in all. Left out: receivers times workers."
    )
    max_in_flight_bytes: int = Field(
        33554432, ge=1048576, le=4294967296, description="Message bytes in hand from which on no more is received."
    )


class RetryDelay(Shape):
    """Another backoff for answers of certain statuses."""

    statuses: list[StatusRange] = Field(
        min_length=1, max_length=16, description="Statuses (503) or classes (5xx); a status goes before its class."
    )
    initial: Annotated[str, DurationBetween("1s", "12h", zero="the visibility timeout decides")] = Field(
        description="Longest delay after the first receive."
    )
    factor: float | None = Field(None, ge=1, le=100, description="Left out: retry.factor.")
    max: Annotated[str, DurationBetween("1s", "12h")] | None = Field(None, description="Left out: retry.max.")

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.max) || duration(self.initial) <= duration(self.max)",
            "the initial delay may not be longer than max",
            lambda it: it.max is None or seconds(it.initial) <= seconds(it.max),
        ),
    )


class Retry(Shape):
    """When a message whose POST failed comes back: initial * factor^(receives - 1), at most max, with full jitter."""

    initial: Annotated[str, DurationBetween("1s", "12h", zero="the visibility timeout decides")] = Field(
        "0s", description="Longest delay after the first receive."
    )
    factor: float = Field(2.0, ge=1, le=100, description="What each further receive multiplies the delay by.")
    max: Annotated[str, DurationBetween("1s", "12h")] = Field("15m", description="What it grows to at most.")
    by_status: list[RetryDelay] | None = Field(None, max_length=16, description="Other backoffs for certain answers.")

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "duration(self.initial) <= duration(self.max)",
            "initial may not be longer than max",
            lambda it: seconds(it.initial) <= seconds(it.max),
        ),
    )


class DeadLetter(Shape):
    """Messages that are moved to the dead-letter queue with a reason; its presence also heeds X-Carrier-Dead-Letter."""

    queue: (
        Annotated[
            str,
            Field(
                pattern=rf"{QUEUE_URL}|^arn:[a-z0-9-]+:sqs:[a-z0-9-]*:[0-9]{{12}}:[A-Za-z0-9_.-]{{1,80}}$|^[A-Za-z0-9_.-]{{1,80}}$",
                max_length=512,
            ),
        ]
        | None
    ) = Field(None, description="Name, URL or ARN of the dead-letter queue. Left out: the one of the redrive policy.")
    statuses: list[StatusRange] | None = Field(
        None, max_length=32, description="Answers (400) or classes (4xx) that are final."
    )
    max_receives: int | None = Field(
        None, ge=1, le=1000, description="Give up on a failure at this receive or a later one."
    )
    max_age: Annotated[str, DurationBetween("1s", "336h")] | None = Field(
        None, description="Give up on failing messages that were sent longer ago than this."
    )


class RateLimit(Shape):
    """How fast a sidecar may take messages; it slows receiving and holds nothing."""

    rate: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,6}/(s|m|h)$", max_length=10)] = Field(
        description="Messages per second, minute or hour, such as 100/s."
    )
    burst: int | None = Field(None, ge=1, le=100000, description="Messages that may come at once after a pause.")


class Breaker(Shape):
    """Stops receiving when the handler fails too often, and tries one message before it goes on."""

    failures: int | None = Field(None, ge=1, le=1000, description="Consecutive failures that open the breaker.")
    ratio: float | None = Field(None, gt=0, le=1, description="Share of failures within window that opens the breaker.")
    window: Annotated[str, DurationBetween("1s", "1h")] = Field("60s", description="Time over which ratio is taken.")
    pause: Annotated[str, DurationBetween("1s", "1h")] = Field("30s", description="Time until one message is tried.")

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.failures) || has(self.ratio)",
            "say failures (consecutive), ratio (over window), or both",
            lambda it: it.failures is not None or it.ratio is not None,
        ),
    )


class Logging(Shape):
    """What the sidecar writes to stdout."""

    level: Literal["debug", "info", "warn", "error"] = Field("info", description="Least severe level that is written.")
    color: bool = Field(False, description="Coloured lines for people instead of JSON.")
    stat_interval: Annotated[str, DurationBetween("1s", "24h")] | None = Field(
        None, description="Time between two lines of statistics. Left out: none."
    )


class BindingSpec(Shape):
    """What the sidecar does and which pods get it."""

    selector: Selector | None = Field(
        None, description="Pods that get the sidecar. Left out: only pods that ask for this binding by annotation."
    )
    queue: Queue = Field(description="The queue to receive from.")
    webhook: Webhook = Field(
        default=Webhook.model_validate({}), description="The handler that each message is POSTed to."
    )
    concurrency: Concurrency = Field(
        default=Concurrency.model_validate({}), description="How much is taken on at once."
    )
    retry: Retry | None = Field(
        None, description="Backoff of failed messages. Left out: they return when their visibility runs out."
    )
    dead_letter: DeadLetter | None = Field(
        None, description="What is moved to the dead-letter queue. Left out: SQS's own redrive alone."
    )
    rate_limit: RateLimit | None = Field(None, description="Left out: no limit.")
    breaker: Breaker | None = Field(None, description="Left out: no breaker.")
    logging: Logging = Field(default=Logging.model_validate({}), description="What the sidecar writes to stdout.")
    suspend: bool = Field(False, description="True: sidecars stop receiving; what is in hand is finished.")
    sidecar: Sidecar = Field(default=Sidecar.model_validate({}), description="The container that is added to pods.")
    rollout: Literal["Never", "Missing", "OnChange"] = Field(
        "Never",
        description="Whether workloads are restarted: never, when their pods miss the sidecar, or also when the "
        "binding changed.",
    )


Value = TypeVar("Value")
_MOST_DERIVED = 64


class Binding:
    """An accepted binding: its identity and its validated spec."""

    __slots__ = ("_derived", "deleting", "generation", "name", "namespace", "spec")

    def __init__(
        self, name: str, namespace: str, spec: BindingSpec, *, generation: int = 0, deleting: bool = False
    ) -> None:
        self.name = name
        self.namespace = namespace
        self.spec = spec
        self.generation = generation
        self.deleting = deleting
        self._derived: dict[tuple[object, ...], Any] = {}

    def derived(self, key: tuple[object, ...], make: Callable[[], Value]) -> Value:
        """What `make` gives, kept: bindings never change, and the webhook asks for the same things for every pod."""
        if key not in self._derived:
            if len(self._derived) >= _MOST_DERIVED:
                self._derived.clear()
            self._derived[key] = make()
        found: Value = self._derived[key]
        return found

    def __repr__(self) -> str:
        return f"Binding({self.namespace}/{self.name} generation {self.generation})"

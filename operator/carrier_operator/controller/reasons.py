"""Every reason that the controller gives, in one list: condition reasons, advice in their messages, and event reasons.

docs/troubleshooting.md is generated from this list. What is not in it can't be said.
"""

from __future__ import annotations

READY, ACCEPTED, QUEUE, INJECTED = "Ready", "Accepted", "QueueVerified", "Injected"
TYPES = (READY, ACCEPTED, QUEUE, INJECTED)

TRUE, FALSE, UNKNOWN = "True", "False", "Unknown"
ADVICE, EVENT = "advice", "event"


class Reason:
    """One word for machines. `of`: the condition's type, ADVICE (in a condition's message) or EVENT; `status`: what the
    condition then is ("" for the others); `meaning` and `remedy` are sentences for people.
    """

    __slots__ = ("code", "meaning", "of", "remedy", "status")

    def __init__(self, of: str, status: str, code: str, meaning: str, remedy: str = "") -> None:
        self.of = of
        self.status = status
        self.code = code
        self.meaning = meaning
        self.remedy = remedy

    def __repr__(self) -> str:
        return f"Reason({self.of}={self.status} {self.code})"


REASONS: list[Reason] = []


def _reason(of: str, status: str, code: str, meaning: str, remedy: str = "") -> Reason:
    made = Reason(of, status, code, meaning, remedy)
    REASONS.append(made)
    return made


_LOOK_AT_INJECTED = "See the condition Injected."

# Ready
MESSAGES_FLOW = _reason(
    READY,
    TRUE,
    "MessagesFlow",
    "Every matched pod carries the sidecar, and nothing else is amiss that the controller can see.",
    "Whether a sidecar reaches its queue and its handler, it says itself: `kubectl logs <pod> -c carrier-<binding>`, "
    "and /readyz and /metrics on its probe port.",
)
NOTHING_TO_DO = _reason(
    READY, TRUE, "NoPods", "The binding is in order; at present no pod matches it.", _LOOK_AT_INJECTED
)
NOT_ACCEPTED = _reason(
    READY,
    FALSE,
    "NotAccepted",
    "The binding can't be used; new pods get no sidecar by it.",
    "See the condition Accepted.",
)
SUSPENDED = _reason(
    READY,
    FALSE,
    "Suspended",
    "spec.suspend is true: sidecars receive nothing. The message says how many have answered.",
    "Set spec.suspend to false.",
)
RESUMING = _reason(
    READY,
    FALSE,
    "Resuming",
    "spec.suspend is false again, and not every running sidecar has been told yet.",
    "Sidecars that can't be reached (see the message) go on when their pods are replaced.",
)
QUEUE_TROUBLE = _reason(
    READY,
    FALSE,
    "QueueTrouble",
    "The queue was looked at and is not as the binding needs it.",
    "See the condition QueueVerified.",
)
PODS_WITHOUT = _reason(
    READY, FALSE, "PodsWithoutSidecar", "Some matched pods run without the sidecar.", _LOOK_AT_INJECTED
)
SIDECARS_FAIL = _reason(
    READY,
    FALSE,
    "SidecarsFailing",
    "Sidecars keep restarting, or can't start. The message has one of them: how often it was restarted, and what it "
    "said when it last ended.",
    "Read the log of one: `kubectl logs <pod> -c carrier-<binding> --previous`. Exit code 2: settings; 3: queue or "
    "permission; 137: memory.",
)

GOING = _reason(
    READY,
    FALSE,
    "BeingDeleted",
    "The binding is being deleted; a finalizer of somebody else still holds it. New pods get no sidecar by it, running "
    "ones keep theirs.",
    "Remove the finalizer if its owner is gone: `kubectl get cb <name> -o jsonpath='{.metadata.finalizers}'`.",
)

# Accepted
VALID = _reason(ACCEPTED, TRUE, "Accepted", "The binding is valid and allowed here.")
INVALID = _reason(
    ACCEPTED,
    FALSE,
    "Invalid",
    "The binding breaks a rule of its schema (it was made before the rule).",
    "Change what the message names.",
)
NOT_ALLOWED = _reason(
    ACCEPTED,
    FALSE,
    "NotAllowed",
    "The binding is valid, but the cluster's administrator does not allow what it asks for.",
    "Ask for it, or leave it out; the chart's values under `policy` say what bindings may do.",
)

# QueueVerified
NOT_CHECKED = _reason(
    QUEUE,
    UNKNOWN,
    "NotChecked",
    "The controller does not look at queues (the default) or not at this one.",
    "An administrator can allow it by the chart's value `controller.queueChecks`. `carrier-sidecar check` looks with "
    "the pod's own rights.",
)
VERIFIED = _reason(QUEUE, TRUE, "Verified", "The queue is there and fits the binding.")
NO_DEAD_LETTER_QUEUE = _reason(
    QUEUE,
    TRUE,
    "NoDeadLetterQueue",
    "The queue has no dead-letter queue: a message that always fails comes back until it expires.",
    "Give the queue a RedrivePolicy, or the binding a deadLetter.queue.",
)
FEW_RECEIVES = _reason(
    QUEUE,
    TRUE,
    "MaxReceiveCountLow",
    "The queue moves messages to its dead-letter queue after fewer than 3 receives. "
    "Messages that are given back (drain, an offline handler) count as received.",
    "Raise maxReceiveCount of the RedrivePolicy to 3 or more.",
)
SHORT_VISIBILITY = _reason(
    QUEUE,
    TRUE,
    "VisibilityTimeoutShort",
    "The queue's visibility timeout is below 10 s; the sidecar raises it to that.",
    "Raise the queue's VisibilityTimeout.",
)
FIFO_MISMATCH = _reason(
    QUEUE,
    FALSE,
    "FifoMismatch",
    "A FIFO queue's dead letters can only go to a FIFO queue, a standard queue's only to a standard one.",
    "Change deadLetter.queue.",
)
QUEUE_NOT_FOUND = _reason(
    QUEUE,
    FALSE,
    "QueueNotFound",
    "SQS knows no such queue, or does not say so to those without access.",
    "Compare name, region and account; check that the controller's identity may call GetQueueUrl and "
    "GetQueueAttributes.",
)
QUEUE_ACCESS_DENIED = _reason(
    QUEUE,
    UNKNOWN,
    "AccessDenied",
    "The controller's identity may not read the queue's attributes. This says nothing about the sidecar's.",
    "Give the controller an AWS identity (the chart's value `controller.serviceAccountAnnotations`) that is allowed "
    "sqs:GetQueueUrl and sqs:GetQueueAttributes, or take the queue out of its list.",
)
QUEUE_UNREACHABLE = _reason(
    QUEUE, UNKNOWN, "Unreachable", "No usable answer came from the endpoint.", "Check the controller's way out."
)
ENDPOINT_REFUSED = _reason(
    QUEUE, UNKNOWN, "EndpointRefused", "The endpoint's name leads to a link-local address; it is not called."
)

# Injected
ALL_INJECTED = _reason(INJECTED, TRUE, "AllInjected", "Every matched pod carries the sidecar.")
STALE = _reason(
    INJECTED,
    TRUE,
    "PodsStale",
    "Every matched pod carries the sidecar, some as the binding was before its last change.",
    "Restart the workloads that the message names, or set spec.rollout to OnChange.",
)
PREDATE = _reason(
    INJECTED,
    FALSE,
    "PodsPredateBinding",
    "Pods were created before the binding (Helm installs unknown kinds last), so they run without the sidecar.",
    "Run the command in the message, or set spec.rollout to Missing.",
)
MISSED = _reason(
    INJECTED,
    FALSE,
    "PodsMissed",
    "Pods were created while the binding stood, and yet without the sidecar: no injector "
    "answered in time, or their namespace is left out by label.",
    "Run `carrierctl check`; look at the injector's log and metrics. Then run the command in the message, or set "
    "spec.rollout to Missing.",
)
NO_MATCH = _reason(
    INJECTED,
    UNKNOWN,
    "SelectorMatchesNothing",
    "No running pod of the namespace matches the selector.",
    "Compare the labels: `kubectl get pods --show-labels`. A workload scaled to zero looks the same.",
)
NOBODY_ASKS = _reason(
    INJECTED,
    UNKNOWN,
    "NoPodAsks",
    "The binding has no selector, and no running pod names it by annotation.",
    "Annotate the pod template: `carrier.dev/binding: <name>`.",
)
CANT_INJECT = _reason(INJECTED, UNKNOWN, "NotAccepted", "The binding is not accepted.", "See the condition Accepted.")

CANT_INJECT_ANY_MORE = _reason(INJECTED, UNKNOWN, "BeingDeleted", "The binding is being deleted.", "See Ready.")
ALL_LEFT_OUT = _reason(
    INJECTED,
    FALSE,
    "PodsLeftOut",
    "Every pod that the binding is for had to be left out: none of them can have the sidecar as they are.",
    "The message names the reasons; change the pod template, or the binding, by what they say.",
)

# Advice: a sentence in a condition's message that begins with the word.
OVERLAP = _reason(
    ADVICE,
    "",
    "OverlappingBindings",
    "Selectors of several bindings match the same pods. That is allowed, and seldom meant.",
    "Narrow one of the selectors, or annotate the pods with the bindings that they are to have.",
)
GRACE = _reason(
    ADVICE,
    "",
    "GracePeriodShort",
    "The pods' terminationGracePeriodSeconds is less than shutdownTimeout + 5 s: messages may be cut when a pod ends.",
    "Raise terminationGracePeriodSeconds of the pods or lower sidecar.shutdownTimeout.",
)
LEFT_OUT = _reason(
    ADVICE,
    "",
    "PodsLeftOut",
    "Pods that the binding's selector or name matches can't have its sidecar; the reasons are "
    "those of the selection page.",
    "See the reason there; `carrierctl why POD` explains one pod.",
)
NOT_TOLD = _reason(
    ADVICE,
    "",
    "SidecarsNotTold",
    "Running sidecars could not be told to suspend or resume: no answer at the pod's "
    "address, or pods on the host's network, whose sidecars listen on loopback only.",
    "Allow the controller to reach the pods' probe port (a strict-mTLS mesh must exclude it), or restart the pods.",
)
ROLLOUT_UNDER_WAY = _reason(
    ADVICE,
    "",
    "RolloutUnderWay",
    "A workload was restarted and is not yet available again; the next one waits for it.",
    "If it stays so, look at its newest pods. (StatefulSets and DaemonSets have no deadline after which they fail.)",
)
ROLLOUT_STOPPED = _reason(
    ADVICE,
    "",
    "RolloutStopped",
    "A workload that was restarted did not become available; no other is touched.",
    "Mend the workload (`kubectl rollout status`); the rollout then goes on by itself.",
)
ROLLOUT_IN_VAIN = _reason(
    ADVICE,
    "",
    "RolloutInVain",
    "A workload was restarted once for this generation and pod template, and its new pods "
    "miss the sidecar again. It is not restarted a second time.",
    "Run `carrierctl check` and `carrierctl why`; when the cause is mended, restart the workload yourself "
    "(`kubectl rollout restart`). The rollout then goes on.",
)
ROLLOUT_LEFT = _reason(
    ADVICE,
    "",
    "RolloutLeft",
    "Pods that no restart of a workload would replace: bare pods, Jobs, paused Deployments, "
    "update strategy OnDelete, kinds that Carrier does not know. They are reported only.",
    "Replace the pods yourself.",
)
ROLLOUT_WAITS = _reason(
    ADVICE,
    "",
    "RolloutWaits",
    "There is something to restart, but no injector is ready: the new pods would miss the sidecar again. "
    "It begins by itself when one is.",
    "Look at the injector's Deployment; run `carrierctl check`.",
)
ROLLOUT_NOT_ALLOWED = _reason(
    ADVICE,
    "",
    "RolloutNotAllowed",
    "spec.rollout asks for restarts, and the controller may not restart workloads here.",
    "Set the chart's value `controller.rollout.enabled`.",
)

# Events
SIDECAR_LEFT_OUT = _reason(
    EVENT,
    "",
    "SidecarLeftOut",
    "On the workload: its pods get no sidecar although somebody asked for one. Once per pod template and reason.",
    "The message names the reason; the selection page explains it.",
)
SIDECARS_REMAIN = _reason(
    EVENT,
    "",
    "SidecarsRemain",
    "The binding was deleted. Running pods keep their sidecars and go on delivering until they are replaced.",
    "Restart the workloads.",
)
RESTARTED = _reason(EVENT, "", "Restarted", "On the workload: restarted because spec.rollout of a binding asks for it.")

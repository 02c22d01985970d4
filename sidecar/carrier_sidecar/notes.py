"""What the sidecar reports to people: every event has one row here, and log lines are made from the rows.

A note is a name and fields; the row says how serious it is, what it says and whose it is. Fields have units in their
names and are never bodies, credentials or receipt handles.
"""

from __future__ import annotations

DEBUG = "debug"
INFO = "info"
WARN = "warn"
ERROR = "error"

# name: (level, source, message)
NOTES: dict[str, tuple[str, str, str]] = {
    # start and end
    "starting": (INFO, "main", "starting"),
    "setting_warning": (WARN, "settings", "a setting deserves a look"),
    "setting_error": (ERROR, "settings", "a setting is wrong"),
    "probe_address_taken": (ERROR, "probes", "cannot listen on CARRIER_PROBE_ADDRESS"),
    "queue_open": (INFO, "sqs", "the queue is open"),
    "queue_refused": (ERROR, "sqs", "the queue cannot be used"),
    "queue_unreachable": (WARN, "sqs", "the queue cannot be opened yet; trying again"),
    "attributes_refused": (
        WARN,
        "sqs",
        "the queue's attributes may not be read; using a visibility timeout of 30 s (grant sqs:GetQueueAttributes)",
    ),
    "attributes_failed": (WARN, "sqs", "the queue's attributes could not be read; keeping what is known"),
    "few_receives": (
        WARN,
        "sqs",
        "the queue's maxReceiveCount is under 3: messages given back at a shutdown soon end in the dead-letter queue",
    ),
    "draining": (INFO, "main", "draining: nothing more is received; the handler may finish what it has"),
    "drained": (INFO, "main", "drained"),
    "not_drained": (ERROR, "main", "not everything could be finished in time; it comes back by its visibility timeout"),
    "suspended": (INFO, "main", "suspended: nothing is received; what is in hand is finished"),
    "unsuspended": (INFO, "main", "no longer suspended"),
    "pausing": (INFO, "main", "paused by the app's drain hook"),
    "resumed": (INFO, "main", "receiving again after a pause"),
    "cut_off": (ERROR, "engine", "no more time: the POST was cut off and its message given back"),
    "offline_exit": (ERROR, "webhook", "the handler is offline and CARRIER_WEBHOOK_OFFLINE_ACTION is exit"),
    # receiving
    "receive_failed": (ERROR, "sqs", "failed to receive messages"),
    "received_again": (DEBUG, "engine", "a message in hand was received again; its newer receipt is used"),
    "delivered_before": (
        WARN,
        "engine",
        "a message that was delivered before came back; deleting it, not delivering it again",
    ),
    "messages_skipped": (ERROR, "sqs", "messages without id or receipt handle were received and left out"),
    "clock_corrected": (WARN, "sqs", "our clock and the server's differ by minutes; the server's time is used"),
    # the handler
    "handler_awaited": (INFO, "webhook", "waiting for the handler: nothing is received before it answers"),
    "handler_online": (INFO, "webhook", "the handler answers"),
    "handler_offline": (WARN, "webhook", "the handler is offline; nothing is received until it answers"),
    "health_check_failed": (WARN, "webhook", "a health check failed"),
    "not_delivered": (
        ERROR,
        "webhook",
        "the handler did not accept a message; it comes back by its visibility timeout",
    ),
    "retry_later": (ERROR, "webhook", "the handler did not accept a message; it is hidden until its next delivery"),
    "breaker_shut": (WARN, "webhook", "the handler fails too often; receiving pauses, then one message is tried"),
    "breaker_trying": (INFO, "webhook", "the breaker lets one message through"),
    "breaker_open": (INFO, "webhook", "the handler accepted the message; receiving again"),
    "authorization_unreadable": (WARN, "webhook", "a file with credentials for the handler can't be read"),
    "retry_asked_for": (INFO, "webhook", "the handler asked for a later delivery"),
    # dead letters
    "dead_lettered": (WARN, "engine", "a message was sent to the dead-letter queue"),
    "dead_letter_failed": (
        ERROR,
        "sqs",
        "a message could not be sent to the dead-letter queue; it is kept and tried again",
    ),
    "no_dead_letter_queue": (
        ERROR,
        "engine",
        "there is no dead-letter queue to send to: a message that should go there is left to come back",
    ),
    "dead_letter_queue_unknown": (
        WARN,
        "sqs",
        "no dead-letter queue is known: set CARRIER_DEAD_LETTER_QUEUE, or give the queue a redrive policy and grant"
        " sqs:GetQueueAttributes",
    ),
    "dead_letter_queue_refused": (
        WARN,
        "sqs",
        "the dead-letter queue can't be found; trying again with the first letter",
    ),
    "gives_up_too_late": (
        WARN,
        "sqs",
        "the queue's maxReceiveCount is under CARRIER_GIVE_UP_RECEIVES: SQS moves messages first, without a reason",
    ),
    # settling
    "settle_failed": (ERROR, "sqs", "failed to settle messages"),
    "late_delete": (
        WARN,
        "engine",
        "a delete is sent after the visibility timeout: others may have received the message",
    ),
    "delete_too_late": (WARN, "engine", "a delivered message could not be deleted: its receipt is no longer good"),
    "delete_denied": (
        ERROR,
        "sqs",
        "SQS refuses DeleteMessage: nothing is received until it is granted (sqs:DeleteMessage)",
    ),
    "extend_denied": (
        WARN,
        "sqs",
        "SQS refuses ChangeMessageVisibility: delivering without heartbeat (grant sqs:ChangeMessageVisibility)",
    ),
    "visibility_lapsed": (WARN, "engine", "a message's visibility ran out while it was in hand"),
    "limit_reached": (
        WARN,
        "engine",
        "a message is in hand for 12 hours, the most that SQS allows; it is no longer extended",
    ),
    # credentials
    "credentials": (INFO, "credentials", "credentials found"),
    "credentials_failed": (WARN, "credentials", "credentials could not be refreshed"),
}

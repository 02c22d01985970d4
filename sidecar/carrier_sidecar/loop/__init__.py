"""Bytes and time: the event loop, its streams, listeners, timers, child processes and signals. Knows nothing of HTTP
or SQS."""

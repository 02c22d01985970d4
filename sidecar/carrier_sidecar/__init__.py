"""The Carrier sidecar: receives from SQS, POSTs each message to a handler, settles it by the answer."""

__version__ = "0.1.0"

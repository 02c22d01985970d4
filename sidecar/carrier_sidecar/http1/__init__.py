"""HTTP/1.1 over the loop's streams: a client for one origin at a time, and a small server. Knows nothing of SQS or
settings."""

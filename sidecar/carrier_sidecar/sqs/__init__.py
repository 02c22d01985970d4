"""Amazon SQS and servers that speak its protocol: everything that knows SQS, and nothing that knows the engine."""

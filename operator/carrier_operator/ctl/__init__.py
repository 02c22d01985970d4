"""carrierctl: injection offline, and explanations. Also a kubectl plugin (kubectl carrier)."""

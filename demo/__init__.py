"""The demonstration behind `make demo`; see demo/run.py."""

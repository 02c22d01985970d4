"""Whole processes measured side by side; see bench/run.py."""

"""The operator: gives pods their Carrier sidecar, and reports and repairs what is missing.

Two processes are made from this package, the injector (admission webhook) and the controller; see docs/architecture.md.
"""

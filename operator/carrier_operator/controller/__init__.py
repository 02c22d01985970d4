"""The controller: keeps each binding's status true, the webhook's certificates fresh, and restarts workloads when asked
to.

One replica leads, by a Lease. Everything is level-based: watches fill stores, a change marks a key, and
`reconcile(key)` looks at the stores alone. Nothing here decides about injection; that is done by selection.py and
inject.py, which the counts use, too.
"""

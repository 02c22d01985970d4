"""The injector: an admission webhook that gives pods their sidecars.

Stateless but for a cache of bindings and kubelet versions that it keeps by list and watch; several replicas serve side
by side without a leader.
"""

"""Support of the tests of injected pods: the chart on a cluster, queues that pods reach, a handler that tells all."""

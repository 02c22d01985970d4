"""End-to-end tests: pods on a real kubelet, and the clusters that they and the integration tests run on."""

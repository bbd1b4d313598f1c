"""Coordination as programs of effects: specification, leases, the merge tree, workers and watchers."""

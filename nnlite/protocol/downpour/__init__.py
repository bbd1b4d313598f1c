"""Downpour SGD: workers push updates and pull checkpoints without waiting for each other."""

"""Averaging: synchronous rounds; workers contribute, contributions are merged up a tree, the root closes the round."""

"""Doors to the commands in a clone, run as `python -m tools.NAME`; and `tools.bench`, which is for developers."""

"""The commands: one short file each, run as `python -m tools.NAME`."""

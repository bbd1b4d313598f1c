"""Runs: the life of a run: what is asked for, its plan, its beginning, driving, status, resuming and end."""

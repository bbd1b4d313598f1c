"""Where effects are performed: the trainer, the performer, and the life of a run from start to result."""

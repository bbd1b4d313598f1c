"""Runtime: performs the effects of the protocols: performer, trainer, learner, workers."""

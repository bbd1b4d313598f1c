"""Engine: how a network runs: the order of its steps, their memory, blocks of images, threads."""

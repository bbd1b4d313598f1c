"""Records, and everything that is read as one."""

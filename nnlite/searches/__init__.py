"""Searches: the life of a search of hyper-parameters, from its beginning to its result."""

"""Records of the protocols: the objects that stand in a store, their keys, and how they are read and written."""

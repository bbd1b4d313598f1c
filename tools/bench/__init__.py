"""`python -m tools.bench`: how fast nnlite is, measured beside its peers on this machine."""

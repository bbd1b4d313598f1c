"""OpenFaaS: workers are calls of functions through a gateway, begun by a command or by a function."""

"""Estimating: what a run will take, measured by short runs and probes on the platform it will run on."""

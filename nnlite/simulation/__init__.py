"""Simulation: performs the protocols in virtual time, with modelled or drawn durations and faults."""

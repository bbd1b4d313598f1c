"""Layers, a module for each family: what they compute and how its gradient comes about."""

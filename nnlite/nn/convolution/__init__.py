"""Convolution: how it computes its sum: by im2col, along rows, or by Winograd's minimal filtering."""

"""Interchange: a trained network for other programs, as an ONNX file or a state dict of PyTorch."""

"""nnlite: neural networks on serverless functions, in pure NumPy."""

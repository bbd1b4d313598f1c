"""The network: layers, losses and optimizers over one flat parameter vector, in NumPy alone.

>>> import numpy as np
>>> from nnlite import nn
>>> network = nn.Sequential([nn.Dense(8), nn.ReLU(), nn.Dense(3)], input_shape=(4,))
>>> rng = np.random.default_rng(0)
>>> weights, gradient = network.init(rng), network.empty()
>>> x, y = rng.random((32, 4), np.float32), rng.integers(0, 3, 32)
>>> loss = network.loss_and_gradient(weights, x, y, out=gradient)
"""

from nnlite.described import Described
from nnlite.nn.conv import Conv2D
from nnlite.nn.gradcheck import GradientCheck, check_layer, check_network
from nnlite.nn.initializers import Constant, Glorot, He, Initializer, Normal
from nnlite.nn.layer import Layer, Parameter, Workspace
from nnlite.nn.layers import Dense, Dropout, Flatten, ReLU, Tanh
from nnlite.nn.losses import HalfSquaredError, Loss, SoftmaxCrossEntropy
from nnlite.nn.lrn import LocalResponseNorm
from nnlite.nn.network import Evaluation, Sequential
from nnlite.nn.optimizers import SGD, Adam, Momentum, Nesterov, Optimizer, RMSProp
from nnlite.nn.parameters import Layout
from nnlite.nn.pool import MaxPool2D
from nnlite.nn.schedules import Cosine, Exponential, Schedule, StepDecay

__all__ = [
    "SGD",
    "Adam",
    "Constant",
    "Conv2D",
    "Cosine",
    "Dense",
    "Described",
    "Dropout",
    "Evaluation",
    "Exponential",
    "Flatten",
    "Glorot",
    "GradientCheck",
    "HalfSquaredError",
    "He",
    "Initializer",
    "Layer",
    "Layout",
    "LocalResponseNorm",
    "Loss",
    "MaxPool2D",
    "Momentum",
    "Nesterov",
    "Normal",
    "Optimizer",
    "Parameter",
    "RMSProp",
    "ReLU",
    "Schedule",
    "Sequential",
    "SoftmaxCrossEntropy",
    "StepDecay",
    "Tanh",
    "Workspace",
    "check_layer",
    "check_network",
]

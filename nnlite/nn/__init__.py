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
from nnlite.mixed import Mixed
from nnlite.nn.composite import Composite
from nnlite.nn.gradcheck import GradientCheck, check_layer, check_network
from nnlite.nn.initializers import Constant, Dirac, Glorot, He, Initializer, Normal
from nnlite.nn.layer import Layer, Parameter, Workspace
from nnlite.nn.layers.activations import ELU, GELU, LeakyReLU, ReLU, Sigmoid, SiLU, Softplus, Tanh
from nnlite.nn.layers.average_pool import AveragePool2D, GlobalAveragePool2D
from nnlite.nn.layers.conv import Conv2D
from nnlite.nn.layers.dense import Dense
from nnlite.nn.layers.dropout import Dropout
from nnlite.nn.layers.embedding import Embedding
from nnlite.nn.layers.flatten import Flatten
from nnlite.nn.layers.lrn import LocalResponseNorm
from nnlite.nn.layers.normalization import BatchNorm, GroupNorm, LayerNorm
from nnlite.nn.layers.pool import MaxPool2D
from nnlite.nn.layers.residual import Residual
from nnlite.nn.losses import (
    BinaryCrossEntropy,
    HalfSquaredError,
    Hinge,
    Huber,
    Loss,
    MeanSquaredError,
    SoftmaxCrossEntropy,
    WeightedLoss,
)
from nnlite.nn.network import Evaluation, Sequential
from nnlite.nn.optimizers import LAMB, SGD, Adam, Momentum, Nesterov, Optimizer, RMSProp
from nnlite.nn.parameters import Layout
from nnlite.nn.schedules import Cosine, Exponential, OneCycle, PiecewiseLinear, Scaled, Schedule, StepDecay, Warmup

__all__ = [
    "ELU",
    "GELU",
    "LAMB",
    "SGD",
    "Adam",
    "AveragePool2D",
    "BatchNorm",
    "BinaryCrossEntropy",
    "Composite",
    "Constant",
    "Conv2D",
    "Cosine",
    "Dense",
    "Described",
    "Dirac",
    "Dropout",
    "Embedding",
    "Evaluation",
    "Exponential",
    "Flatten",
    "GlobalAveragePool2D",
    "Glorot",
    "GradientCheck",
    "GroupNorm",
    "HalfSquaredError",
    "He",
    "Hinge",
    "Huber",
    "Initializer",
    "Layer",
    "LayerNorm",
    "Layout",
    "LeakyReLU",
    "LocalResponseNorm",
    "Loss",
    "MaxPool2D",
    "MeanSquaredError",
    "Mixed",
    "Momentum",
    "Nesterov",
    "Normal",
    "OneCycle",
    "Optimizer",
    "Parameter",
    "PiecewiseLinear",
    "RMSProp",
    "ReLU",
    "Residual",
    "Scaled",
    "Schedule",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "SoftmaxCrossEntropy",
    "Softplus",
    "StepDecay",
    "Tanh",
    "Warmup",
    "WeightedLoss",
    "Workspace",
    "check_layer",
    "check_network",
]

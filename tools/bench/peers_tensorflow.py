"""The same steps in TensorFlow, compiled with tf.function. TensorFlow is imported when a step is made."""

from __future__ import annotations

import importlib
import math
import os
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from tools.bench.workload import DENSE, LEARNING_RATE, Workload

CNN_SHAPES = [(5, 5, 3, 64), (5, 5, 64, 64), (4096, 384), (384, 192), (192, 10)]


def tensorflow() -> Any:
    """The package, told to keep its notices to itself."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return importlib.import_module("tensorflow")


def version() -> str:
    """Name and version of the peer."""
    return f"tensorflow {tensorflow().__version__}"


def make(workload: Workload, variant: str) -> Callable[[], object]:
    """One step of training with SGD, on images (N, H, W, C), as TensorFlow has them."""
    tf = tensorflow()
    tf.config.threading.set_intra_op_parallelism_threads(workload.threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.random.set_seed(0)
    x_array, y_array = workload.samples()
    if workload.case == "b":
        x_array = x_array.transpose(0, 2, 3, 1)
    x, y = tf.constant(x_array), tf.constant(y_array)
    sizes = DENSE[workload.case][0] if workload.case != "b" else ()
    shapes = CNN_SHAPES if workload.case == "b" else list(pairwise(sizes))
    variables = [(_weight(tf, shape), tf.Variable(tf.zeros(shape[-1:]))) for shape in shapes]
    forward = _cifar_cnn if workload.case == "b" else _dense

    @tf.function  # type: ignore[untyped-decorator]
    def step() -> Any:
        with tf.GradientTape() as tape:
            outputs = forward(tf, variables, x, workload.case)
            if workload.case == "a":
                loss = 0.5 * tf.reduce_mean((outputs[:, 0] - y) ** 2)
            else:
                loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, outputs))
        flat = [variable for pair in variables for variable in pair]
        for variable, gradient in zip(flat, tape.gradient(loss, flat), strict=True):
            variable.assign_sub(LEARNING_RATE * gradient)
        return loss

    return lambda: step().numpy()


def _weight(tf: Any, shape: tuple[int, ...]) -> Any:
    return tf.Variable(tf.random.normal(shape, stddev=math.sqrt(2 / math.prod(shape[:-1]))))


def _dense(tf: Any, variables: list[Any], x: Any, case: str) -> Any:
    _, activation, rate = DENSE[case]
    for index, (weight, bias) in enumerate(variables):
        x = tf.matmul(x, weight) + bias
        if index < len(variables) - 1 or case == "a":
            x = tf.nn.tanh(x) if activation == "tanh" else tf.nn.relu(x)
        if rate and index == 0:
            x = tf.nn.dropout(x, rate)
    return x


def _cifar_cnn(tf: Any, variables: list[Any], x: Any, case: str) -> Any:
    def convolve(x: Any, weight: Any, bias: Any) -> Any:
        return tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(x, weight, 1, "SAME"), bias))

    def lrn(x: Any) -> Any:
        return tf.nn.lrn(x, 4, 1.0, 0.001 / 9, 0.75)

    x = lrn(tf.nn.max_pool2d(convolve(x, *variables[0]), 3, 2, "SAME"))
    x = tf.nn.max_pool2d(lrn(convolve(x, *variables[1])), 3, 2, "SAME")
    x = tf.reshape(x, [x.shape[0], -1])
    for weight, bias in variables[2:-1]:
        x = tf.nn.relu(tf.matmul(x, weight) + bias)
    weight, bias = variables[-1]
    return tf.matmul(x, weight) + bias

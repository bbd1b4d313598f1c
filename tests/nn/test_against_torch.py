"""The layers, networks and optimizers compute what PyTorch computes."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from nnlite import data, nn
from nnlite.nn import models
from tests.nn.helpers import (
    ACTIVATIONS,
    WeightedSum,
    batch_for,
    difference,
    gradient_of,
    laws,
    networks,
    paddings,
    seeds,
    small_models,
    through,
)

torch = pytest.importorskip("torch")
from tests.nn.torch_twin import TorchTwin, module_of, optimizer_of  # noqa: E402

TOLERANCES = {np.float32: 1e-5, np.float64: 1e-10}
dtypes = pytest.mark.parametrize("dtype", TOLERANCES, ids=["float32", "float64"])
CASES = {
    "a": models.bits_mlp,
    "b": models.cifar_cnn,
    "c": models.mlp,
    "emnist": lambda: models.emnist_mlp(dropout_rate=0.0),
}


def assert_same_passage(layer, x, dy, tolerance, **parameters):
    """Outputs, input gradient and parameter gradients of one layer agree with its twin's."""
    passed = through(layer, x, dy, np.random.default_rng(0), **parameters)
    network = nn.Sequential([layer, nn.Flatten()], x.shape[1:], WeightedSum())
    twin_modules = torch.nn.Sequential(*module_of(layer, network.input_shape)).to(torch.from_numpy(x).dtype)
    if parameters:
        axes = (1, 0) if parameters["weight"].ndim == 2 else (3, 2, 0, 1)
        with torch.no_grad():
            twin_modules[-1].weight.copy_(torch.from_numpy(parameters["weight"]).permute(axes))
            twin_modules[-1].bias.copy_(torch.from_numpy(parameters["bias"]))
    x_torch = torch.from_numpy(x).requires_grad_()
    y_torch = twin_modules(x_torch)
    y_torch.backward(torch.from_numpy(dy))
    assert passed.y.shape == y_torch.shape
    assert difference(passed.y, y_torch.detach().numpy()) < tolerance
    assert difference(passed.dx, x_torch.grad.numpy()) < tolerance
    if parameters:
        back = (1, 0) if parameters["weight"].ndim == 2 else (2, 3, 1, 0)
        d_weight = twin_modules[-1].weight.grad.permute(back).numpy()
        assert difference(passed.gradients["weight"], d_weight) < tolerance
        assert difference(passed.gradients["bias"], twin_modules[-1].bias.grad.numpy()) < tolerance


@dtypes
@laws
@given(st.data(), st.integers(1, 5), st.integers(1, 3), paddings, seeds)
def test_convolution_and_pooling(dtype, data, kernel, stride, padding, seed):
    n, c, h, w = (data.draw(st.integers(1, most)) for most in (3, 4, 12, 12))
    assume(padding == "same" or kernel <= min(h, w))
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, c, h, w)).astype(dtype)
    weight, bias = rng.standard_normal((kernel, kernel, c, 3)).astype(dtype), rng.standard_normal(3).astype(dtype)
    conv, pool = nn.Conv2D(3, kernel, stride, padding), nn.MaxPool2D(kernel, stride, padding)
    dy = rng.standard_normal((n, *conv.output_shape((c, h, w)))).astype(dtype)
    assert_same_passage(conv, x, dy, TOLERANCES[dtype], weight=weight, bias=bias)
    dy = rng.standard_normal((n, *pool.output_shape((c, h, w)))).astype(dtype)
    assert_same_passage(pool, x, dy, TOLERANCES[dtype])
    ties = rng.integers(-1, 2, x.shape).astype(dtype)
    assert_same_passage(pool, ties, dy, TOLERANCES[dtype])


@dtypes
@pytest.mark.parametrize("shape", [(5,), (3, 4, 5)], ids=str)
@pytest.mark.parametrize("layer", [nn.ReLU(), nn.Flatten(), nn.Dropout(0.0), *ACTIVATIONS], ids=str)
def test_layers_without_parameters(layer, shape, dtype):
    rng = np.random.default_rng(0)
    x, dy = rng.standard_normal((2, 6, *shape)).astype(dtype)
    x.flat[::7] = 0  # the derivative of ReLU at 0 is 0 for both
    assert_same_passage(layer, x, dy.reshape(6, *layer.output_shape(shape)), TOLERANCES[dtype])


@dtypes
@pytest.mark.parametrize("beta", [0.75, 0.5])
@pytest.mark.parametrize("radius", [0, 1, 4])
def test_local_response_norm(radius, beta, dtype):
    rng = np.random.default_rng(0)
    x, dy = rng.standard_normal((2, 3, 7, 4, 5)).astype(dtype)
    assert_same_passage(nn.LocalResponseNorm(radius, 1.3, 0.3, beta), x, dy, TOLERANCES[dtype])


@dtypes
def test_dense(dtype):
    rng = np.random.default_rng(0)
    x, weight = rng.standard_normal((6, 5)).astype(dtype), rng.standard_normal((5, 3)).astype(dtype)
    dy, bias = rng.standard_normal((6, 3)).astype(dtype), rng.standard_normal(3).astype(dtype)
    assert_same_passage(nn.Dense(3), x, dy, TOLERANCES[dtype], weight=weight, bias=bias)


@dtypes
@pytest.mark.parametrize(
    "loss",
    [nn.SoftmaxCrossEntropy(0.2), nn.MeanSquaredError(), nn.Huber(0.4), nn.BinaryCrossEntropy()],
    ids=str,
)
def test_losses(loss, dtype):
    network, rng = nn.Sequential([nn.Dense(4)], (5,), loss), np.random.default_rng(0)
    weights = network.init(rng).astype(dtype)
    x = rng.standard_normal((7, 5)).astype(dtype)
    y = rng.integers(0, 4, 7) if isinstance(loss, nn.SoftmaxCrossEntropy) else rng.random((7, 4)).astype(dtype)
    twin = TorchTwin(network, weights)
    value, gradient = gradient_of(network, weights, x, y)
    assert value == pytest.approx(twin.loss_and_gradient(x, y), rel=TOLERANCES[dtype])
    assert difference(gradient, twin.gradient()) < TOLERANCES[dtype]


@dtypes
@pytest.mark.parametrize("num_samples", [1, 13])
@pytest.mark.parametrize("case", CASES)
def test_whole_networks(case, num_samples, dtype):
    """Outputs, loss, and the gradient of every tensor."""
    network, rng = CASES[case](), np.random.default_rng(0)
    weights = network.init(rng).astype(dtype)
    x, y = batch_for(network, num_samples, rng, dtype)
    twin, tolerance = TorchTwin(network, weights), TOLERANCES[dtype]
    loss, gradient = gradient_of(network, weights, x, y, rng)
    assert loss == pytest.approx(twin.loss_and_gradient(x, y), rel=tolerance)
    assert difference(gradient, twin.gradient()) < tolerance
    ours, theirs = (network.layout.views(vector) for vector in (gradient, twin.gradient()))
    for name in network.layout:
        assert difference(ours[name], theirs[name]) < tolerance, name
    with torch.no_grad():
        outputs = twin.module(torch.from_numpy(x)).numpy()
    assert difference(network.predict(weights, x), outputs) < tolerance


@dtypes
@pytest.mark.parametrize("name", ["airbench", "linear", "svm", "lenet", "vgg11", "resnet", "mobilenet"])
def test_well_known_networks(name, dtype):
    network, rng = small_models()[name], np.random.default_rng(0)
    weights = (network.init(rng) + 0.05 * rng.standard_normal(network.layout.size)).astype(dtype)
    x, y = batch_for(network, 6, rng, dtype)
    twin, tolerance = TorchTwin(network, weights), TOLERANCES[dtype]
    loss, gradient = gradient_of(network, weights, x, y, rng)
    assert loss == pytest.approx(twin.loss_and_gradient(x, y), rel=tolerance)
    assert difference(gradient, twin.gradient()) < tolerance
    assert np.array_equal(twin.weights(), weights)


@dtypes
def test_embedding(dtype):
    network, rng = nn.Sequential([nn.Embedding(7, 4), nn.Tanh(), nn.Dense(3)], (5,)), np.random.default_rng(0)
    weights, x = network.init(rng).astype(dtype), rng.integers(0, 7, (6, 5)).astype(dtype)
    assert_same_step(network, weights, x, rng.integers(0, 3, 6), dtype)


@dtypes
def test_standardized_weights(dtype):
    layers = [
        nn.Conv2D(4, 3, standardized=True),
        nn.GroupNorm(2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dense(3, standardized=True),
    ]
    network, rng = nn.Sequential(layers, (2, 7, 6)), np.random.default_rng(0)
    assert_same_step(network, network.init(rng).astype(dtype), *batch_for(network, 5, rng, dtype), dtype)


def assert_same_step(network, weights, x, y, dtype):
    """Outputs, loss and gradient."""
    twin, tolerance = TorchTwin(network, weights), TOLERANCES[dtype]
    loss, gradient = gradient_of(network, weights, x, y)
    assert loss == pytest.approx(twin.loss_and_gradient(x, y), rel=tolerance)
    assert difference(gradient, twin.gradient()) < tolerance
    with torch.no_grad():
        assert difference(network.predict(weights, x), twin.module(torch.from_numpy(x)).numpy()) < tolerance


@laws
@given(networks(own=False), st.integers(1, 9), seeds)
def test_any_network(network, num_samples, seed):
    rng = np.random.default_rng(seed)
    weights = network.init(rng).astype(np.float64)
    x, y = batch_for(network, num_samples, rng)
    twin = TorchTwin(network, weights)
    loss, gradient = gradient_of(network, weights, x, y)
    assert loss == pytest.approx(twin.loss_and_gradient(x, y), rel=1e-10)
    assert difference(gradient, twin.gradient()) < 1e-10, network.summary()


def test_the_twin_carries_weights_both_ways():
    network = models.cifar_cnn((2, 8, 8), 4)
    weights = network.init(np.random.default_rng(0))
    assert np.array_equal(TorchTwin(network, weights).weights(), weights)


@pytest.mark.parametrize("case", sorted(CASES.keys() - {"b"}))
def test_thirty_steps_of_sgd(case):
    """Training from the same weights on the same minibatches gives the same losses to 5 digits."""
    network, rng = CASES[case](), np.random.default_rng(1)
    batches = [batch_for(network, 8, rng, np.float32) for _ in range(3)]
    same_losses(network, [batches[step % 3] for step in range(30)])


@pytest.mark.parametrize("algorithm", ["auto", "im2col"])
def test_thirty_steps_of_sgd_on_real_images(algorithm):
    """The same for case b on photographs. On noise, learned by heart, any two ways to round soon part: a pooling
    decided otherwise between two nearly equal numbers is enough."""
    clothes = data.load("fashion-sample")
    config = models.cifar_cnn(clothes.input_shape).config()
    for layer in config["layers"]:
        if layer["is"] == "Conv2D":
            layer["algorithm"] = algorithm
    parts = [clothes.train.take(np.arange(start, start + 32)) for start in range(0, 30 * 32, 32)]
    batches = [(data.to_float(part.x, clothes.mean, clothes.std), part.y.astype(np.int64)) for part in parts]
    same_losses(nn.Sequential.from_config(config), batches)


def same_losses(network, batches):
    """A step of SGD on every batch, from the same weights: ours and PyTorch's losses are the same."""
    rng = np.random.default_rng(1)
    weights = network.init(rng)
    twin, optimizer = TorchTwin(network, weights.copy()), nn.SGD(0.01)
    twin_optimizer = optimizer_of(optimizer, list(twin.module.parameters()))
    slots, ours, theirs = optimizer.slots(weights.size), [], []
    for step, (x, y) in enumerate(batches):
        loss, gradient = gradient_of(network, weights, x, y, rng)
        optimizer.update_inplace(weights, gradient, slots, step)
        ours.append(loss)
        theirs.append(twin.loss_and_gradient(x, y))
        twin_optimizer.step()
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)
    assert np.mean(ours[-3:]) < np.mean(ours[:3])


OPTIMIZERS = [
    nn.SGD(0.1),
    nn.Momentum(0.05, 0.9),
    nn.Momentum(0.1, 0.3),
    nn.Nesterov(0.05, 0.9),
    nn.Nesterov(0.1, 0.3),
    nn.RMSProp(0.01),
    nn.RMSProp(0.02, decay=0.5, epsilon=1e-2),
    nn.Adam(0.01),
    nn.Adam(0.02, beta1=0.5, beta2=0.9, epsilon=1e-2),
]


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
def test_optimizers(optimizer):
    """Twenty steps down a crooked valley, in float64; a large epsilon shows whether it stands where torch's does."""
    rng = np.random.default_rng(2)
    curvature, start = rng.uniform(0.1, 2, 50), rng.standard_normal(50)
    weights, slots = start.copy(), optimizer.slots(50, np.float64)
    theirs = torch.tensor(start, requires_grad=True)
    twin = optimizer_of(optimizer, [theirs])
    for step in range(20):
        optimizer.update_inplace(weights, _slope(weights, curvature), slots, step)
        theirs.grad = torch.from_numpy(_slope(theirs.detach().numpy(), curvature))
        twin.step()
        assert difference(weights, theirs.detach().numpy()) < 1e-10, step


@pytest.mark.parametrize("clip_norm", [None, 0.5])
def test_adamw_and_clipping(clip_norm):
    """Of a network whose weights decay and whose biases do not."""
    network, rng = models.mlp((1, 3, 3), 4, (5,)), np.random.default_rng(3)
    optimizer = nn.Adam(0.05, weight_decay=0.3, clip_norm=clip_norm)
    weights = network.init(rng).astype(np.float64)
    twin, slots = TorchTwin(network, weights), optimizer.slots(weights.size, np.float64)
    named = list(twin.module.named_parameters())
    groups = [
        {"params": [p for name, p in named if name.endswith("weight")], "weight_decay": 0.3},
        {"params": [p for name, p in named if name.endswith("bias")], "weight_decay": 0.0},
    ]
    theirs = torch.optim.AdamW(groups, 0.05)
    for step in range(10):
        x, y = batch_for(network, 6, rng)
        _, gradient = gradient_of(network, weights, x, y)
        optimizer.step_inplace(weights, gradient, slots, step, network.layout)
        twin.loss_and_gradient(x, y)
        if clip_norm:
            torch.nn.utils.clip_grad_norm_([p for _, p in named], clip_norm)
        theirs.step()
        assert difference(weights, twin.weights()) < 1e-6, step  # torch adds 1e-6 to the norm


def _slope(weights, curvature):
    return curvature * weights + np.sin(3 * weights)

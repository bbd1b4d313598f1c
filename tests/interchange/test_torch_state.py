"""State dicts: modules of PyTorch and networks here compute the same of the same weights, both ways."""

import numpy as np
import pytest

import nnlite
from nnlite import nn
from nnlite.errors import StructureError
from nnlite.nn import models
from tests.nn.helpers import difference, small_models

torch = pytest.importorskip("torch")
from tests.nn.torch_twin import TorchTwin  # noqa: E402

NAMES = sorted(small_models())


def drawn(network, seed=0):
    rng = np.random.default_rng(seed)
    return (network.init(rng) + 0.05 * rng.standard_normal(network.layout.size)).astype(np.float32)


def tensors(state):
    return {key: torch.from_numpy(array) for key, array in state.items()}


class Block(torch.nn.Module):
    """A residual block as it is usually written down."""

    def __init__(self, channels, filters, stride, groups):
        super().__init__()
        same = torch.nn.ZeroPad2d((0, 1, 0, 1)) if stride == 2 else torch.nn.ZeroPad2d(1)  # of even sizes
        self.pad = same
        self.conv1 = torch.nn.Conv2d(channels, filters, 3, stride)
        self.norm1 = torch.nn.GroupNorm(groups, filters)
        self.conv2 = torch.nn.Conv2d(filters, filters, 3, padding=1)
        self.norm2 = torch.nn.GroupNorm(groups, filters)
        around = torch.nn.Conv2d(channels, filters, 1, stride), torch.nn.GroupNorm(groups, filters)
        self.shortcut = torch.nn.Sequential(*around if channels != filters else ())

    def forward(self, x):
        y = torch.relu(self.norm1(self.conv1(self.pad(x))))
        return torch.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


class ResNet8(torch.nn.Module):
    """For images of 3 x 32 x 32."""

    def __init__(self, width, groups):
        super().__init__()
        self.conv, self.norm = torch.nn.Conv2d(3, width, 3, padding=1), torch.nn.GroupNorm(groups, width)
        self.layer1 = Block(width, width, 1, groups)
        self.layer2 = Block(width, 2 * width, 2, groups)
        self.layer3 = Block(2 * width, 4 * width, 2, groups)
        self.fc = torch.nn.Linear(4 * width, 10)

    def forward(self, x):
        x = self.layer3(self.layer2(self.layer1(torch.relu(self.norm(self.conv(x))))))
        return self.fc(x.mean((2, 3)))


def test_a_resnet_of_pytorch():
    """A module with names of its own: its state becomes a network, and the other way round."""
    network, module = models.resnet(depth=8, width=8, groups=4), ResNet8(8, 4)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    x = np.random.default_rng(0).standard_normal((3, 3, 32, 32)).astype(np.float32)
    weights = nnlite.from_torch_state(network, module.state_dict())
    with torch.no_grad():
        assert difference(network.predict(weights, x), module(torch.from_numpy(x)).numpy()) < 1e-5
    back = nnlite.to_torch_state(network, weights, like=module.state_dict())
    assert list(back) == list(module.state_dict())
    other = ResNet8(8, 4)
    other.load_state_dict(tensors(back))
    for one, two in zip(module.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two)


def test_lenet_of_pytorch():
    t = torch.nn
    module = t.Sequential(
        t.Conv2d(1, 6, 5, padding=2), t.Tanh(), t.AvgPool2d(2), t.Conv2d(6, 16, 5), t.Tanh(), t.AvgPool2d(2),
        t.Flatten(), t.Linear(400, 120), t.Tanh(), t.Linear(120, 84), t.Tanh(), t.Linear(84, 10),
    )  # fmt: skip
    network = models.lenet()
    x = np.random.default_rng(0).standard_normal((3, 1, 28, 28)).astype(np.float32)
    weights = nnlite.from_torch_state(network, module.state_dict())
    with torch.no_grad():
        assert difference(network.predict(weights, x), module(torch.from_numpy(x)).numpy()) < 1e-5


@pytest.mark.parametrize("name", NAMES)
def test_models_both_ways(name):
    """The twin of a network computes the same with the state that is made for it, and that state is the weights."""
    network = small_models()[name]
    weights = drawn(network)
    twin = TorchTwin(network, drawn(network, 1))
    state = nnlite.to_torch_state(network, weights, like=twin.module.state_dict())
    twin.module.load_state_dict(tensors(state))
    x = np.random.default_rng(2).standard_normal((4, *network.input_shape)).astype(np.float32)
    with torch.no_grad():
        assert difference(network.predict(weights, x), twin.module.eval()(torch.from_numpy(x)).numpy()) < 1e-5
    assert np.array_equal(nnlite.from_torch_state(network, twin.module.state_dict()), weights)
    assert np.array_equal(nnlite.from_torch_state(network, nnlite.to_torch_state(network, weights)), weights)


def test_names_are_those_of_the_layers_and_any_order_will_do():
    network = models.resnet((3, 8, 8), 10, 8, 4, 2)
    state = nnlite.to_torch_state(network, drawn(network))
    assert list(state)[:4] == ["conv1.weight", "conv1.bias", "groupnorm1.weight", "groupnorm1.bias"]
    assert "residual2.shortcut.conv1.weight" in state
    assert state["residual2.shortcut.conv1.weight"].shape == (8, 4, 1, 1)
    turned = dict(reversed(state.items()))
    assert np.array_equal(nnlite.from_torch_state(network, turned), drawn(network))


def test_an_embedding_lies_there_as_here():
    network = nn.Sequential([nn.Embedding(7, 3), nn.Dense(2)], (4,))
    state = nnlite.to_torch_state(network, drawn(network))
    assert state["embedding1.weight"].shape == (7, 3)
    assert state["dense1.weight"].shape == (2, 12)


def test_half_precision_and_a_missing_bias():
    network = models.linear((1, 2, 2), 3)
    module = torch.nn.Linear(4, 3, bias=False).to(torch.bfloat16)
    weights = nnlite.from_torch_state(network, module.state_dict())
    views = network.layout.views(weights)
    assert np.array_equal(views["dense1/weight"], module.weight.detach().float().numpy().T)
    assert not views["dense1/bias"].any()
    assert list(nnlite.to_torch_state(network, weights, like=module.state_dict())) == ["weight"]
    with pytest.raises(StructureError, match="dense1/bias is not zero, and the module that it goes to has no bias"):
        nnlite.to_torch_state(network, weights + 1, like=module.state_dict())


WEIGHT, BIAS = np.zeros((3, 4), np.float32), np.zeros(3, np.float32)


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"a.weight": WEIGHT, "a.bias": BIAS, "b.weight": WEIGHT}, "2 modules with tensors (a, b), the network 1"),
        ({}, "0 modules with tensors (), the network 1 layers (dense1)"),
        ({"a.weight": WEIGHT.T, "a.bias": BIAS}, "a.weight (4, 3), and the network wants (3, 4) for its dense1"),
        ({"a.weight": WEIGHT, "a.scale": BIAS}, "the state has a.scale, which is another layer"),
        ({"a.bias": BIAS}, "the state has no a.weight"),
        ({"a.weight": WEIGHT, "a.running_mean": BIAS}, "a.running_mean, of a batch normalization, which no"),
        ({"a.weight": WEIGHT.astype(int), "a.bias": BIAS}, "a.weight of int64; wanted floating-point numbers"),
    ],
)  # fmt: skip
def test_states_of_another_network(state, words):
    with pytest.raises(StructureError) as failure:
        nnlite.from_torch_state(models.linear((1, 2, 2), 3), state)
    assert words in str(failure.value)
    assert "\n" not in str(failure.value)

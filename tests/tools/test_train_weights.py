"""The file of weights, as others read it: by the notes that `tools.train` prints at its end."""

import json

import numpy as np
import pytest

import nnlite
from nnlite import data

torch = pytest.importorskip("torch")
safetensors_numpy = pytest.importorskip("safetensors.numpy")
safetensors_torch = pytest.importorskip("safetensors.torch")


@pytest.fixture(params=["b", "c", "emnist"])
def trained(request, train, data_dir):
    """(case, the model as nnlite loads it, what the command said, its test rows)"""
    argv = ("--case", request.param, "--data", data_dir, "--rounds", 1, "--steps-per-round", 2, "--batch-size", 8)
    done = train(*argv, "--processes", 0, "--out", "w.st")
    assert done.code == 0, done.err
    name = {"b": "cifar10", "c": "mnist", "emnist": "emnist-bymerge"}[request.param]
    return request.param, nnlite.load("w.st"), done.out, data.load(name, data_dir=data_dir).test.x


def test_safetensors_reads_the_same_tensors(trained):
    _, model, _, _ = trained
    views = model.network.layout.views(model.weights)
    for load in (safetensors_numpy.load_file, safetensors_torch.load_file):
        tensors = load("w.st")
        assert set(tensors) == set(views)
        for name, tensor in tensors.items():
            assert np.array_equal(np.asarray(tensor), views[name]), name


def test_pytorch_gives_the_same_logits(trained):
    case, model, said, x = trained
    assert "a dense weight is (in, out): .T for torch; a conv weight (h, w, in, out): .permute(3, 2, 0, 1)" in said
    tensors = safetensors_torch.load_file("w.st")
    network = {"b": cifar_cnn, "c": mlp, "emnist": emnist_mlp}[case]()
    with torch.no_grad():
        for layer, name in network.named:
            weight = tensors[f"{name}/weight"]
            layer.weight.copy_(weight.T if weight.ndim == 2 else weight.permute(3, 2, 0, 1))
            layer.bias.copy_(tensors[f"{name}/bias"])
        scaled = torch.from_numpy(data.to_float(x, model.mean, model.std))
        logits = network(scaled).numpy()
    expected = model.predict(x)
    assert np.abs(logits - expected).max() <= 1e-4 * np.abs(expected).max()


class Chain(torch.nn.Sequential):
    """A torch network that knows the names of its layers with weights in our file."""

    def __init__(self, *layers):
        super().__init__(*layers)
        with_weights = [layer for layer in layers if hasattr(layer, "weight")]
        counts = {"conv": 0, "dense": 0}
        self.named = []
        for layer in with_weights:
            kind = "conv" if isinstance(layer, torch.nn.Conv2d) else "dense"
            counts[kind] += 1
            self.named.append((layer, f"{kind}{counts[kind]}"))


class SamePool(torch.nn.Module):
    """Max-pooling 3x3/2 over what TensorFlow calls SAME: 32 -> 16, with the odd column at the end."""

    def forward(self, x):
        padded = torch.nn.functional.pad(x, (0, 1, 0, 1), value=float("-inf"))
        return torch.nn.functional.max_pool2d(padded, 3, 2)


def cifar_cnn():
    n = torch.nn
    return Chain(
        n.Conv2d(3, 64, 5, padding=2), n.ReLU(), SamePool(), n.LocalResponseNorm(9, 9 * 0.001 / 9, 0.75, 1.0),
        n.Conv2d(64, 64, 5, padding=2), n.ReLU(), n.LocalResponseNorm(9, 9 * 0.001 / 9, 0.75, 1.0), SamePool(),
        n.Flatten(), n.Linear(4096, 384), n.ReLU(), n.Linear(384, 192), n.ReLU(), n.Linear(192, 10),
    )  # fmt: skip


def mlp():
    n = torch.nn
    return Chain(n.Flatten(), n.Linear(784, 64), n.ReLU(), n.Linear(64, 64), n.ReLU(), n.Linear(64, 10))


def emnist_mlp():
    n = torch.nn
    return Chain(n.Flatten(), n.Linear(784, 100), n.Tanh(), n.Linear(100, 47))


def test_the_file_says_what_it_is(train, case_file):
    assert train("--case", case_file(), "--processes", 0, "--run", "mine", "--out", "w.st").code == 0
    with safetensors_numpy.safe_open("w.st", "np") as file:
        metadata = file.metadata()
    assert (metadata["run"], metadata["case"], metadata["dataset"], metadata["rounds"]) == (
        "mine", "My case", "pairs", "3"
    )  # fmt: skip
    scale = json.loads(metadata["scale"])
    assert (scale["mean"], scale["std"], scale["dtype"]) == ([0.0], [1.0], "float32")
    assert -6 < scale["low"] < -2 < 2 < scale["high"] < 6  # of standard normal numbers
    assert [layer["is"] for layer in json.loads(metadata["network"])["layers"]] == ["Dense", "Scale", "Tanh", "Dense"]
    assert 0 < float(metadata["test_accuracy"]) <= 1

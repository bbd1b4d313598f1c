"""One suite for every optimizer: it goes down, keeps its state where the caller says, and may be cut in chunks."""

from dataclasses import replace

import numpy as np
import pytest

from nnlite import nn
from nnlite.errors import StructureError
from nnlite.nn import optimizers

OPTIMIZERS = [nn.SGD(0.1), nn.Momentum(0.02), nn.Nesterov(0.02), nn.RMSProp(0.02), nn.Adam(0.05), nn.LAMB(0.02)]
every_optimizer = pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda o: type(o).__name__)
every_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])


def train(optimizer, weights, gradient_of, num_steps, first_step=0, slots=None):
    """(weights, slots) after `num_steps` steps, from copies."""
    weights = weights.copy()
    slots = optimizer.slots(weights.size, weights.dtype) if slots is None else slots.copy()
    for step in range(first_step, first_step + num_steps):
        optimizer.update_inplace(weights, gradient_of(weights), slots, step)
    return weights, slots


def crooked(weights):
    return np.linspace(0.2, 2, weights.size, dtype=weights.dtype) * weights


def drawn(dtype=np.float64, size=100):
    return np.random.default_rng(0).standard_normal(size).astype(dtype)


@every_dtype
@every_optimizer
def test_goes_down_a_quadratic(optimizer, dtype):
    start = drawn(dtype)
    weights, slots = train(optimizer, start, crooked, 300)
    assert weights.dtype == slots.dtype == dtype
    assert np.linalg.norm(weights) < 0.05 * np.linalg.norm(start)


@every_dtype
@every_optimizer
def test_state_is_the_callers(optimizer, dtype):
    """Slots are (num_slots, P), start at zero, and are all there is: a step is a function of its arguments."""
    slots = optimizer.slots(7, dtype)
    assert slots.shape == (len(optimizer.slot_names), 7)
    assert slots.dtype == dtype
    assert not slots.any()
    assert slots.ctypes.data % 64 == 0 or slots.size == 0
    straight = train(optimizer, drawn(dtype), crooked, 10)
    half = train(optimizer, drawn(dtype), crooked, 5)
    train(optimizer, drawn(dtype, 33), crooked, 3)  # somebody else in between
    resumed = train(optimizer, half[0], crooked, 5, first_step=5, slots=half[1])
    assert np.array_equal(resumed[0], straight[0])
    assert np.array_equal(resumed[1], straight[1])


@every_optimizer
def test_every_slot_is_used(optimizer):
    slots = train(optimizer, drawn(), crooked, 1)[1]
    assert all(slot.all() for slot in slots)


@every_dtype
@pytest.mark.parametrize("optimizer", OPTIMIZERS[:-1], ids=lambda o: type(o).__name__)
def test_weights_are_independent(optimizer, dtype):
    """Updating a vector is updating its parts, entry by entry; but for LAMB, which looks at a tensor as a whole."""
    whole = train(optimizer, drawn(dtype), np.cos, 6)[0]
    parts = [train(optimizer, part, np.cos, 6)[0] for part in np.split(drawn(dtype), [1, 40, 41])]
    np.testing.assert_allclose(whole, np.concatenate(parts), rtol=1e-6)


@pytest.mark.parametrize("size", [1, 63, 64, 65, 200])
@pytest.mark.parametrize("chunk", [1, 7, 64, 1 << 15])
@every_optimizer
def test_chunks_do_not_change_results(monkeypatch, optimizer, chunk, size):
    wanted = train(optimizer, drawn(np.float32, size), np.cos, 4)
    monkeypatch.setattr(optimizers, "CHUNK", chunk)
    cut = train(optimizer, drawn(np.float32, size), np.cos, 4)
    np.testing.assert_allclose(cut[0], wanted[0], rtol=1e-6)
    np.testing.assert_allclose(cut[1], wanted[1], rtol=1e-6)


@every_dtype
def test_chunks_cover_long_vectors(dtype):
    """Longer than one chunk of the real size, with a tail."""
    size = 2 * optimizers.CHUNK + 5
    for optimizer in OPTIMIZERS:
        weights = train(optimizer, np.ones(size, dtype), np.ones_like, 2)[0]
        assert (weights < 1).all()
        assert np.unique(weights).size == 1, optimizer


@every_optimizer
def test_no_gradient_no_move(optimizer):
    assert np.array_equal(train(optimizer, drawn(), np.zeros_like, 3)[0], drawn())


def test_sgd_is_its_formula():
    assert np.array_equal(train(nn.SGD(0.5), drawn(), np.ones_like, 1)[0], drawn() - 0.5)


def test_momentum_builds_up():
    """With a constant gradient the n-th step is rate * (1 + m + ... + m^(n-1)); Nesterov is one ahead."""
    rate, m = 0.1, 0.5
    for optimizer, steps in ((nn.Momentum(rate, m), [1, 1.5, 1.75]), (nn.Nesterov(rate, m), [1.5, 1.75, 1.875])):
        weights = [train(optimizer, np.zeros(3), np.ones_like, n)[0][0] for n in range(4)]
        np.testing.assert_allclose(-np.diff(weights), rate * np.array(steps), rtol=1e-12)


def test_rmsprop_is_its_formula():
    optimizer = nn.RMSProp(0.1, decay=0.75, epsilon=0.5)
    moved = drawn() - train(optimizer, drawn(), lambda w: np.full_like(w, 2.0), 1)[0]
    np.testing.assert_allclose(moved, 0.1 * 2 / (np.sqrt(0.25 * 4) + 0.5), rtol=1e-12)


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3])
def test_adams_first_step_is_the_learning_rate(size):
    """m' = g and s' = g², so w moves by rate * g / (|g| + epsilon), whatever the size of g."""
    optimizer = nn.Adam(0.01, epsilon=1e-4)
    moved = drawn() - train(optimizer, drawn(), lambda w: size * np.sign(w), 1)[0]
    np.testing.assert_allclose(moved, 0.01 * np.sign(drawn()) * size / (size + 1e-4), rtol=1e-9)


def test_adam_forgets_its_zero_start():
    """With a constant gradient the bias corrections make every step equal."""
    weights = [train(nn.Adam(0.01), np.zeros(3), np.ones_like, n)[0][0] for n in range(8)]
    np.testing.assert_allclose(np.diff(weights), -0.01, rtol=1e-6)


@every_optimizer
def test_a_schedule_is_asked_at_every_step(optimizer):
    scheduled = optimizer.with_learning_rate(nn.StepDecay(optimizer.learning_rate, every=3, factor=0.5))
    assert [scheduled.rate(step) for step in (0, 2, 3, 6)] == [
        optimizer.learning_rate * factor for factor in (1, 1, 0.5, 0.25)
    ]
    assert type(scheduled) is type(optimizer)
    early = train(scheduled, drawn(), np.cos, 3)[0], train(optimizer, drawn(), np.cos, 3)[0]
    assert np.array_equal(*early)
    slow = optimizer.with_learning_rate(optimizer.learning_rate / 2)
    state = train(optimizer, drawn(), np.cos, 3)
    late = [train(o, state[0], np.cos, 1, 3, state[1])[0] for o in (scheduled, slow, optimizer)]
    assert np.array_equal(late[0], late[1])
    assert not np.array_equal(late[0], late[2])


@pytest.mark.parametrize("rate", [0, -0.1, float("nan"), float("inf")])
@every_optimizer
def test_a_learning_rate_is_positive(optimizer, rate):
    with pytest.raises(StructureError, match=f"{type(optimizer).__name__}: learning_rate {rate} is not"):
        type(optimizer)(rate)


@pytest.mark.parametrize("value", [0.0, 1.0, -0.5, 2.0])
@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (nn.Momentum, "momentum"),
        (nn.Nesterov, "momentum"),
        (nn.RMSProp, "decay"),
        (nn.Adam, "beta1"),
        (nn.Adam, "beta2"),
    ],
)
def test_decays_lie_between_0_and_1(kind, name, value):
    with pytest.raises(StructureError, match=f"{kind.__name__}: {name} {value} is not between 0 and 1"):
        kind(0.1, **{name: value})


# ---- a network's weights: what decays, and how long a gradient may be

NETWORK = nn.Sequential(
    [
        nn.Residual([nn.Conv2D(4, 3), nn.GroupNorm(2), nn.ReLU()]),
        nn.Conv2D(2, 1),
        nn.Flatten(),
        nn.Dense(5),
        nn.LayerNorm(),
        nn.Dense(3),
    ],
    (4, 3, 3),
)


def whole_step(optimizer, weights, gradient, num_steps=1):
    """Weights after some steps with the layout of NETWORK and the same gradient."""
    weights, slots = weights.copy(), optimizer.slots(weights.size, weights.dtype)
    for step in range(num_steps):
        optimizer.step_inplace(weights, gradient.copy(), slots, step, NETWORK.layout)
    return weights


@every_dtype
@every_optimizer
def test_without_decay_and_clipping_a_step_is_its_formula(optimizer, dtype):
    weights, gradient = drawn(dtype, NETWORK.layout.size), np.cos(drawn(dtype, NETWORK.layout.size))
    if isinstance(optimizer, nn.LAMB):
        wanted = [
            train(optimizer, weights[p], lambda w, p=p: gradient[p].copy(), 3)[0]
            for p in NETWORK.layout.slices.values()
        ]
        np.testing.assert_allclose(whole_step(optimizer, weights, gradient, 3), np.concatenate(wanted), rtol=1e-6)
    else:
        wanted = train(optimizer, weights, lambda w: gradient.copy(), 3)[0]
        assert np.array_equal(whole_step(optimizer, weights, gradient, 3), wanted)


@every_dtype
@pytest.mark.parametrize("optimizer", OPTIMIZERS[:-1], ids=lambda o: type(o).__name__)
def test_weights_decay_and_biases_and_gains_do_not(optimizer, dtype):
    """Without a gradient only the decay is left, whatever the optimizer makes of gradients."""
    weights = drawn(dtype, NETWORK.layout.size)
    decaying = replace(optimizer, weight_decay=0.2)
    found = whole_step(decaying, weights, np.zeros_like(weights), 2)
    factor = (1 - optimizer.learning_rate * 0.2) ** 2
    before, after = NETWORK.layout.views(weights), NETWORK.layout.views(found)
    for name in NETWORK.layout:
        decays = name.endswith("weight")
        np.testing.assert_allclose(after[name], before[name] * (factor if decays else 1), rtol=1e-6, err_msg=name)
    assert sum(name.endswith("weight") for name in NETWORK.layout) == 4


@pytest.mark.parametrize("scale", [0.5, 1.0, 20.0])
@every_optimizer
def test_a_long_gradient_is_shortened(optimizer, scale):
    weights, gradient = drawn(size=NETWORK.layout.size), np.cos(drawn(size=NETWORK.layout.size))
    gradient *= scale / np.linalg.norm(gradient)
    found = whole_step(replace(optimizer, clip_norm=1.0), weights, gradient)
    np.testing.assert_allclose(found, whole_step(optimizer, weights, gradient / max(1.0, scale)), rtol=1e-9)


def test_lamb_is_its_formula():
    """Tensor by tensor: Adam's direction, the decay of what decays, and a length that is a share of the weights'."""
    optimizer = nn.LAMB(0.1, 0.8, 0.9, 1e-3, weight_decay=0.3)
    weights = drawn(size=NETWORK.layout.size)
    weights[NETWORK.layout.slices["dense1/bias"]] = 0
    gradients = np.random.default_rng(1).standard_normal((3, weights.size))
    found, slots = weights.copy(), optimizer.slots(weights.size, np.float64)
    m, s = np.zeros((2, weights.size))
    for step, gradient in enumerate(gradients):
        optimizer.step_inplace(found, gradient.copy(), slots, step, NETWORK.layout)
        m, s = 0.8 * m + 0.2 * gradient, 0.9 * s + 0.1 * gradient**2
        direction = m / (1 - 0.8 ** (step + 1)) / (np.sqrt(s / (1 - 0.9 ** (step + 1))) + 1e-3)
        for name, part in NETWORK.layout.slices.items():
            w = weights[part]
            r = direction[part] + 0.3 * name.endswith("weight") * w
            trust = np.linalg.norm(w) / np.linalg.norm(r) if np.any(w) else 1.0
            weights[part] = w - 0.1 * trust * r
        np.testing.assert_allclose(found, weights, rtol=1e-9)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"weight_decay": -0.1}, r"weight_decay -0\.1; wanted a number of 0 or more"),
        ({"weight_decay": float("nan")}, "weight_decay nan"),
        ({"clip_norm": 0.0}, r"clip_norm 0\.0; wanted a positive number, or None"),
    ],
)
@every_optimizer
def test_decay_and_clipping_that_cannot_be(optimizer, options, words):
    with pytest.raises(StructureError, match=f"{type(optimizer).__name__}: {words}"):
        replace(optimizer, **options)

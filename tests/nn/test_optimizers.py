"""One suite for every optimizer: it goes down, keeps its state where the caller says, and may be cut in chunks."""

import numpy as np
import pytest

from nnlite import nn
from nnlite.errors import StructureError
from nnlite.nn import optimizers

OPTIMIZERS = [nn.SGD(0.1), nn.Momentum(0.02), nn.Nesterov(0.02), nn.RMSProp(0.02), nn.Adam(0.05)]
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
@every_optimizer
def test_weights_are_independent(optimizer, dtype):
    """Updating a vector is updating its parts, entry by entry."""
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

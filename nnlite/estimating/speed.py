"""The speed of this machine: seconds a step, a scored row, and a byte of weights, of one case."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np

from nnlite import nn
from nnlite.protocol.averaging import contribution
from nnlite.protocol.averaging.contribution import Tally
from nnlite.protocol.effects import Model
from nnlite.simulation.profile import ComputeProfile

MEASURE_S = 0.15  # how long a thing is repeated to time it once
REPETITIONS = 5
SCORE_ROWS = 512
COPY_BYTES = 8_000_000


def measured(network: nn.Sequential, optimizer: nn.Optimizer, batch_size: int) -> ComputeProfile:
    """Measured here and now, as medians of interleaved repetitions."""
    small = max(1, batch_size // 4)
    things = {
        "full": stepper(network, optimizer, batch_size),
        "small": stepper(network, optimizer, small),
        "score": _scorer(network, SCORE_ROWS),
        **_handlers(),
    }
    seconds = interleaved(things)
    row_s = max(0.0, (seconds["full"] - seconds["small"]) / max(1, batch_size - small))
    return ComputeProfile(
        step_s=max(0.0, seconds["full"] - batch_size * row_s),
        row_s=row_s,
        score_row_s=seconds["score"] / SCORE_ROWS,
        encode_bytes_per_s=COPY_BYTES / seconds["encode"],
        decode_bytes_per_s=COPY_BYTES / seconds["decode"],
    )


def interleaved(things: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Seconds a call: medians over rounds in which everything has its turn."""
    counts = {name: max(1, round(MEASURE_S / REPETITIONS / _time(thing, 1))) for name, thing in things.items()}
    times: dict[str, list[float]] = {name: [] for name in things}
    for _ in range(REPETITIONS):
        for name, thing in things.items():
            times[name].append(_time(thing, counts[name]))
    return {name: statistics.median(found) for name, found in times.items()}


def stepper(network: nn.Sequential, optimizer: nn.Optimizer, rows: int) -> Callable[[], object]:
    """One step on noise, as `runtime.trainer` takes it; how fast it is does not depend on what is in the rows."""
    from nnlite.data import Batcher, Minibatches, Split

    rng = np.random.default_rng(0)
    num_rows = rows * 4
    x = _rows(network, num_rows, rng)
    batcher = Batcher(Split(x, targets(network, num_rows)), (0.5,) * _channels(network), (0.25,) * _channels(network),
                      Minibatches(num_rows, rows, 0, 0))  # fmt: skip
    weights, gradient = network.init(rng), network.empty()
    slots = np.zeros((len(optimizer.slot_names), network.layout.size), np.float32)
    steps = iter(range(10**9))

    def step() -> None:
        number = next(steps)
        one, y = batcher.batch(number)
        masks = np.random.default_rng([0, 0, number, 2]) if network.is_random else None
        network.loss_and_gradient(weights, one, y, out=gradient, rng=masks)
        optimizer.step_inplace(weights, gradient, slots, number, network.layout)

    for _ in range(3):  # makes its memory
        step()
    return step


def _scorer(network: nn.Sequential, rows: int) -> Callable[[], object]:
    from nnlite.data import to_float

    rng = np.random.default_rng(0)
    x = _rows(network, rows, rng)
    weights, y, channels = network.init(rng), targets(network, rows), _channels(network)

    def score() -> object:
        return network.evaluate(weights, to_float(x, (0.5,) * channels, (0.25,) * channels), y)

    score()
    return score


def _handlers() -> dict[str, Callable[[], object]]:
    """What a worker does with every byte it writes, or reads."""
    vector = np.ones(COPY_BYTES // 4, np.float32)
    model, mine = Model(vector, {"weight": vector.shape}), vector.copy()
    data = contribution.encode(model, Tally(1), "bench")

    def decode() -> None:
        mine[:] = contribution.decode(data, "bench")[0].vector

    return {"encode": lambda: contribution.encode(model, Tally(1), "bench"), "decode": decode}


def _rows(network: nn.Sequential, count: int, rng: np.random.Generator) -> np.ndarray:
    """Pixels of noise, or whole numbers where the network wants those."""
    if network.wants_whole_numbers:
        return network.noise(count, rng)
    return rng.integers(0, 256, (count, *network.input_shape), np.uint8)


def targets(network: nn.Sequential, rows: int) -> np.ndarray:
    """Some of what the network can answer."""
    outputs = network.output_shape[0]
    if outputs == 1:
        return np.where(np.arange(rows) % 2, 1, -1).astype(np.int8)
    return (np.arange(rows) % outputs).astype(np.uint8)


def _channels(network: nn.Sequential) -> int:
    return network.input_shape[0] if len(network.input_shape) == 3 else 1


def _time(thing: Callable[[], object], count: int) -> float:
    began_s = time.perf_counter()
    for _ in range(count):
        thing()
    return (time.perf_counter() - began_s) / count


def crowding(alone_s: float, together_s: Sequence[float]) -> tuple[float, ...]:
    """How much slower 1, 2, ... at once are; never faster."""
    return (1.0, *(max(1.0, one / alone_s) for one in together_s))

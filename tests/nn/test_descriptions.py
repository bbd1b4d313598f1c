"""Everything that can be described survives JSON; nothing else can be built from it."""

import dataclasses
import functools

import numpy as np
import pytest
from hypothesis import given

from nnlite import data, described, nn
from nnlite.errors import StructureError
from nnlite.nn import models
from tests.nn.helpers import Gains, laws, networks, small_models, through_json

# For every class of nnlite that can be described, an object whose every field differs from its default.
BOUNDS = {"weight_decay": 0.1, "clip_norm": 2.0}
EXAMPLES = [
    nn.Dense(3, nn.Glorot(), nn.Constant(0.1), True),
    nn.Embedding(7, 3, nn.Normal(0.1)),
    nn.Conv2D(4, 3, 2, "valid", nn.Normal(0.2), nn.Constant(0.3), "im2col", 2, 3, True),
    nn.MaxPool2D(3, 2, "valid"),
    nn.LocalResponseNorm(2, 1.5, 0.1, 0.5),
    nn.ReLU(),
    nn.Tanh(),
    nn.Dropout(0.3),
    nn.Flatten(),
    nn.LeakyReLU(0.2),
    nn.Sigmoid(),
    nn.SiLU(),
    nn.GELU(),
    nn.Softplus(),
    nn.ELU(0.5),
    nn.AveragePool2D(3, 2, "valid"),
    nn.GlobalAveragePool2D(),
    nn.GroupNorm(2, 1e-4, nn.Constant(0.0), nn.Normal(0.1)),
    nn.LayerNorm(1e-4, nn.Constant(0.0), nn.Normal(0.1)),
    nn.Residual([nn.Conv2D(4, 3), nn.Residual(nn.ReLU())], nn.Conv2D(4, 1)),
    nn.SoftmaxCrossEntropy(0.1, [0.5, 2.0]),
    nn.MeanSquaredError([0.5, 2.0]),
    nn.Huber(0.5, [0.5, 2.0]),
    nn.BinaryCrossEntropy([0.5, 2.0]),
    nn.Hinge(True, [0.5, 2.0]),
    nn.HalfSquaredError([0.5, 2.0]),
    nn.He(),
    nn.Glorot(),
    nn.Normal(0.7),
    nn.Constant(-2.5),
    nn.Dirac(),
    nn.SGD(0.3, **BOUNDS),
    nn.Momentum(0.2, 0.8, **BOUNDS),
    nn.Nesterov(nn.Cosine(0.4, 100, 0.01, 3), 0.7, **BOUNDS),
    nn.RMSProp(nn.Exponential(0.1, 50, 0.2), 0.8, 1e-5, **BOUNDS),
    nn.Adam(nn.StepDecay(0.1, 5, 0.5), 0.8, 0.99, 1e-6, **BOUNDS),
    nn.StepDecay(0.1, 5, 0.5),
    nn.Exponential(0.1, 50, 0.2),
    nn.Cosine(0.4, 100, 0.01, 3),
    nn.LAMB(0.1, 0.8, 0.99, 1e-5, **BOUNDS),
    nn.Warmup(nn.Cosine(0.4, 100), 5),
    nn.PiecewiseLinear([(0, 0.1), (5, 0.2)]),
    nn.OneCycle(0.4, 100, 0.2, 10.0, 100.0),
    nn.Scaled(nn.StepDecay(0.1, 5, 0.5), 2.0),
    data.Augment(True, 4, 8, 0.2),
]
REFUSED = {"BatchNorm"}  # so that its description is refused with the same words
BASES = {"Layer", "Composite", "Loss", "Initializer", "Optimizer", "Schedule"}


def test_there_is_an_example_of_every_class():
    """A new class must be added to EXAMPLES."""
    builtin = {name for name, cls in described._registry.items() if cls.builtin}
    assert builtin - REFUSED == BASES | {type(example).__name__ for example in EXAMPLES}


def test_examples_leave_no_default():
    """So that a field that gets lost on the way is missed."""
    for example in EXAMPLES:
        for field in dataclasses.fields(example):
            assert getattr(example, field.name) != field.default, (example, field.name)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: type(e).__name__)
def test_round_trip(example):
    described = through_json(example.config())
    rebuilt = nn.Described.from_config(described)
    assert rebuilt == example
    assert type(rebuilt) is type(example)
    assert rebuilt.config() == example.config()
    assert type(example).from_config(described) == example


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: type(e).__name__)
def test_a_field_of_another_type_is_named(example):
    """A text is no number, nor is a truth value; an initializer is no schedule."""
    for name, value in example.config().items():
        for odd in ("32", True, {"is": "Augment"}):
            if name == "is" or type(odd) is type(value) is not dict:
                continue
            with pytest.raises(StructureError) as caught:
                nn.Described.from_config({**example.config(), name: odd})
            assert str(caught.value).startswith(f"{type(example).__name__}.{name}: expected "), caught.value
            assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("description", "words"),
    [
        ({"is": "Dense", "units": "32"}, "Dense.units: expected a whole number, found '32'"),
        ({"is": "Dense", "units": 3.5}, "Dense.units: expected a whole number, found 3.5"),
        ({"is": "Dropout", "rate": None}, "Dropout.rate: expected a number, found None"),
        (
            {"is": "Residual", "body": [{"is": "ReLU"}, {"is": "He"}]},
            "Residual.body: expected a list (a description of Layer), found (ReLU(), He())",
        ),
        (
            {"is": "PiecewiseLinear", "points": [[0, 0.1], [5]]},
            "PiecewiseLinear.points: expected a list (a list (a whole number, a number)), found ((0, 0.1), (5,))",
        ),
        (
            {"is": "SGD", "learning_rate": "fast"},
            "SGD.learning_rate: expected a number or a description of Schedule, found 'fast'",
        ),
    ],
)
def test_what_was_expected_and_what_was_found(description, words):
    with pytest.raises(StructureError) as caught:
        nn.Described.from_config(description)
    assert str(caught.value) == words


def test_a_users_annotation_is_taken_at_its_word_and_so_is_its_default():
    @dataclasses.dataclass(frozen=True)
    class Annotated(nn.Layer):
        count: int
        limit: float = None

    assert nn.Layer.from_config(through_json(Annotated(3).config())) == Annotated(3)
    with pytest.raises(StructureError, match=r"Annotated\.count: expected a whole number, found 'three'"):
        Annotated("three").config()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: type(e).__name__)
def test_objects_are_values(example):
    """Frozen, comparable and hashable."""
    assert hash(example) == hash(nn.Described.from_config(example.config()))
    for field in dataclasses.fields(example):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(example, field.name, None)


@pytest.mark.parametrize("name", small_models())
def test_models_survive_json(name):
    network = small_models()[name]
    rebuilt = nn.Sequential.from_config(through_json(network.config()))
    assert rebuilt.config() == network.config()
    assert rebuilt.layers == network.layers
    assert (rebuilt.input_shape, rebuilt.loss) == (network.input_shape, network.loss)
    assert dict(rebuilt.layout) == dict(network.layout)
    assert np.array_equal(rebuilt.init(np.random.default_rng(0)), network.init(np.random.default_rng(0)))


@laws
@given(networks(dropout=True))
def test_any_network_survives_json(network):
    assert nn.Sequential.from_config(through_json(network.config())).layers == network.layers


def test_a_users_own_class_is_described_too():
    assert nn.Layer.from_config(through_json(Gains(nn.Constant(2.0)).config())) == Gains(nn.Constant(2.0))


def test_tuples_come_back_as_tuples():
    @dataclasses.dataclass(frozen=True)
    class WithTuples(nn.Layer):
        sizes: tuple[int, ...]
        parts: tuple[nn.Initializer, ...]

    layer = WithTuples((1, 2), (nn.He(), nn.Normal(0.3)))
    assert nn.Layer.from_config(through_json(layer.config())) == layer


@pytest.mark.parametrize(
    "description",
    [
        {"is": "os.system"},
        {"is": "Sequential"},
        {"is": None},
        {"is": ["Dense"]},
        {"is": {}},
        {},
        None,
        "Dense",
        7,
        [],
        {"is": "Dense"},
        {"is": "Dense", "units": 3, "color": "red"},
        {"is": "Dense", "units": "three"},
        {"is": "Dense", "units": 0},
        {"is": "He"},
    ],
    ids=str,
)
def test_what_describes_no_layer(description):
    with pytest.raises(StructureError):
        nn.Layer.from_config(description)


def test_an_unknown_class_names_what_is_known():
    with pytest.raises(StructureError, match=r"unknown class 'Dens' in a description; known here: .*Dense"):
        nn.Layer.from_config({"is": "Dens", "units": 3})


def test_another_kind_than_wanted():
    with pytest.raises(StructureError, match="expected the description of a Layer, found"):
        nn.Layer.from_config(nn.He().config())


@pytest.mark.parametrize(
    "spoil",
    [
        lambda c: c.pop("layers"),
        lambda c: c.pop("input_shape"),
        lambda c: c.pop("loss"),
        lambda c: c.update(loss=c["layers"][0]),
        lambda c: c.update(layers=None),
        lambda c: c.update(input_shape="wide"),
        lambda c: c.update(input_shape=3),
        lambda c: c.update(input_shape=[-7]),
        lambda c: c.update(input_shape=[7.5]),
        lambda c: c["layers"].append({"is": "Conv2D", "filters": "3", "kernel": 1}),
    ],
)
def test_what_describes_no_network(spoil):
    description = through_json(models.bits_mlp((7,), (3,)).config())
    spoil(description)
    with pytest.raises(StructureError):
        nn.Sequential.from_config(description)


@pytest.mark.parametrize("description", [None, [], "x", 3], ids=str)
def test_what_describes_nothing(description):
    with pytest.raises(StructureError, match="not the description of a network"):
        nn.Sequential.from_config(description)


def test_a_users_class_may_not_take_a_name_of_nnlites():
    """It would change what every description of a Dense means, in this process only."""
    with pytest.raises(StructureError, match=r"Dense has the name of one of nnlite's own classes; choose another"):
        type("Dense", (nn.Layer,), {"__module__": "somewhere"})
    assert nn.Layer.from_config(nn.Dense(3).config()) == nn.Dense(3)


# ---- what would come back as something else


class Undecorated(nn.Momentum):
    """Takes a number that is no field."""

    def __init__(self, learning_rate, boost=1.0):
        super().__init__(learning_rate)
        object.__setattr__(self, "boost", boost)


class Renamed(nn.Momentum):
    """As above, under the names of the fields."""

    def __init__(self, learning_rate, momentum=0.9, boost=1.0, **others):
        super().__init__(learning_rate, momentum, **others)
        object.__setattr__(self, "boost", boost)


@dataclasses.dataclass(frozen=True)
class Table(nn.Initializer):
    """Keeps an array that does not follow from its field."""

    size: int

    def __post_init__(self):
        object.__setattr__(self, "numbers", np.arange(self.size))


def changed_table():
    one = Table(3)
    object.__setattr__(one, "numbers", np.ones(3))
    return one


@dataclasses.dataclass(frozen=True)
class Cached(nn.Initializer):
    """Remembers what follows from its field: nothing is lost."""

    size: int

    def __post_init__(self):
        object.__setattr__(self, "numbers", np.arange(self.size))

    @functools.cached_property
    def half(self):
        return self.size / 2


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (Undecorated(0.1, 2.0), "Undecorated cannot be described by its fields"),
        (Renamed(0.1, 0.8, 2.0), r"Renamed\.boost would be lost in a description: make Renamed a dataclass"),
        (changed_table(), r"Table\.numbers would be lost"),
        (nn.SGD(Undecorated(0.1)), "Undecorated cannot be described"),
        (nn.Dense(3, weight=changed_table()), r"Table\.numbers would be lost"),
    ],
    ids=["fields", "attribute", "array", "nested", "deeper"],
)
def test_what_would_be_lost_on_the_way_is_refused(one, words):
    with pytest.raises(StructureError, match=words) as error:
        one.config()
    assert "\n" not in str(error.value)


def test_what_follows_from_the_fields_is_not_lost():
    one = Cached(6)
    assert one.half == 3
    assert nn.Initializer.from_config(through_json(one.config())).half == 3
    assert Table(3).config() == {"is": "Table", "size": 3}


def test_two_classes_of_one_name_are_not_taken_for_each_other():
    """A description has names alone: what it builds is the last that was defined."""

    def define(where: str):
        body = {"__module__": where, "__qualname__": "Twin"}
        return dataclasses.dataclass(frozen=True)(type("Twin", (nn.ReLU,), body))

    first = define("one")
    assert nn.Layer.from_config(first().config()) == first()
    second = define("other")
    assert nn.Layer.from_config(second().config()) == second()
    with pytest.raises(StructureError, match=r"one\.Twin cannot be described, as it would become other\.Twin"):
        first().config()
    again = define("other")  # as when a file is loaded once more
    assert (second().config(), again().config()) == ({"is": "Twin"}, {"is": "Twin"})


def test_a_class_that_no_description_may_name():
    @dataclasses.dataclass(frozen=True)
    class Internal(nn.ReLU, described=False):
        pass

    with pytest.raises(StructureError, match="Internal cannot be described, as none may name it"):
        Internal().config()


def test_a_subclass_of_sequential_would_become_a_sequential():
    class Mine(nn.Sequential):
        def predict(self, vector, x):
            return x

    with pytest.raises(StructureError, match="Mine, a subclass of Sequential, cannot be described"):
        Mine([nn.Dense(3)], (4,)).config()


def test_only_dataclasses_can_be_described():
    class Bare(nn.Layer):
        pass

    with pytest.raises(StructureError, match="Bare must be a"):
        Bare().config()

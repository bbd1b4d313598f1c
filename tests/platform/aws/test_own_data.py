"""Data of one's own on AWS Lambda: functions get arrays, and the model knows what they were."""

import pytest

import nnlite
from tests.own_data import trees
from tests.platform.aws.account import REGION


@pytest.mark.parametrize("target", ["kind", "weight"])
def test_a_table_is_learned_on_functions_as_it_is_here(target, stack, tmp_path):
    path = str(trees(tmp_path / "trees.csv", target))
    job = {"workers": 2, "rounds": 20, "steps_per_round": 4}
    run = nnlite.train("auto", path, platform=nnlite.Lambda(region=REGION), budget_usd=1, **job)
    here = nnlite.train("auto", path, store=str(tmp_path / "st"), **job)
    assert run.model.weights.tobytes() == here.model.weights.tobytes()
    rows = [[14.0, "wet"], [6.0, "dry"]]
    assert run.model.predict_labels(rows).tolist() == here.model.predict_labels(rows).tolist()
    if target == "kind":
        assert run.model.predict_labels(rows).tolist() == ["oak", "ash"]

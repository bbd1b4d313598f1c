"""Data of one's own on OpenFaaS: functions get arrays, and the model knows what they were."""

import pytest

import nnlite
from tests.own_data import trees
from tests.platform.openfaas.gateway import PASSWORD


@pytest.mark.parametrize("target", ["kind", "weight"])
def test_a_table_is_learned_behind_a_gateway_as_it_is_here(
    target, cluster, shared_memcached, secrets, monkeypatch, tmp_path
):
    monkeypatch.setenv("OPENFAAS_PASSWORD", PASSWORD)
    path, job = str(trees(tmp_path / "trees.csv", target)), {"workers": 2, "rounds": 20, "steps_per_round": 4}
    platform = nnlite.OpenFaaS(gateway=cluster.url, secret_file=str(secrets / "nnlite-hmac"))
    store = f"memcached://{shared_memcached.address}/own-{target}"
    run = nnlite.start("auto", path, platform=platform, store=store, **job).wait(300)
    here = nnlite.train("auto", path, store=str(tmp_path / "st"), **job)
    assert run.model.weights.tobytes() == here.model.weights.tobytes()
    rows = [[14.0, "wet"], [6.0, "dry"]]
    assert run.model.predict_labels(rows).tolist() == here.model.predict_labels(rows).tolist()
    if target == "kind":
        assert run.model.predict_labels(rows).tolist() == ["oak", "ash"]

"""Runs from Python on OpenFaaS: as on this machine, with functions behind a gateway."""

import pytest

import nnlite
from nnlite.errors import UsageError
from tests.platform.openfaas.gateway import PASSWORD


def test_a_run_behind_a_gateway_has_the_weights_of_one_here(cluster, shared_memcached, secrets, monkeypatch, tmp_path):
    monkeypatch.setenv("OPENFAAS_PASSWORD", PASSWORD)
    platform = nnlite.OpenFaaS(gateway=cluster.url, secret_file=str(secrets / "nnlite-hmac"))
    store = f"memcached://{shared_memcached.address}/api"
    job = {"dataset": "fashion-sample", "workers": 2, "steps_per_round": 20, "rounds": 2, "scale": "none"}
    run = nnlite.start("c", platform=platform, store=store, **job).wait(300)
    assert run.status().state == "DONE"
    here = nnlite.train("c", store=str(tmp_path / "st"), **job)
    assert run.model.weights.tobytes() == here.model.weights.tobytes()
    again = nnlite.attach(run.name, platform=platform, store=store)
    assert again.history["round"].tolist() == [1, 2]
    assert again.cost.usd == 0 < again.cost.list_usd
    with pytest.raises(UsageError, match="cannot be asked which runs it holds"):
        nnlite.list_runs(store=store, platform=platform)
    with pytest.raises(UsageError, match="has no store of its own"):
        nnlite.attach(run.name, platform=platform)

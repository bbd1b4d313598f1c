"""Runs from Python on OpenFaaS: as on this machine, with functions behind a gateway."""

import subprocess
import sys

import pytest

import nnlite
from nnlite.errors import UsageError
from tests.docs.commands import blocks
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


def test_the_document_s_program_runs(cluster, shared_memcached, secrets, monkeypatch, tmp_path):
    monkeypatch.setenv("OPENFAAS_PASSWORD", PASSWORD)
    (program,) = [b.text for b in blocks("docs/python-api.md") if b.needs and "OpenFaaS" in b.text]
    here = {
        "http://127.0.0.1:8080": cluster.url,
        "127.0.0.1:11211": shared_memcached.address,
        "hmac.secret": str(secrets / "nnlite-hmac"),
    }
    for there, ours in here.items():
        assert there in program
        program = program.replace(there, ours)
    (tmp_path / "program.py").write_text(program)
    done = subprocess.run([sys.executable, "program.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "state='DONE'" in done.stdout

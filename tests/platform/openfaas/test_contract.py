"""OpenFaaS passes the platform contract: a gateway, and functions in processes of their own."""

import pytest

from nnlite.platform.openfaas.functions import OpenFaaS
from tests.platform.contract import Ground, PlatformContract
from tests.platform.openfaas.gateway import PASSWORD


class TestOpenFaaS(PlatformContract):
    @pytest.fixture
    def ground(self, cluster, shared_memcached, secrets, monkeypatch, request):
        monkeypatch.setenv("OPENFAAS_PASSWORD", PASSWORD)
        return Ground(
            OpenFaaS(gateway=cluster.url, secret_file=str(secrets / "nnlite-hmac")),
            f"memcached://{shared_memcached.address}/{abs(hash(request.node.name))}",
            kill=lambda invoker: [replica.kill() for replica in cluster.functions["emnist-train"].replicas],
            held=lambda invoker: any(thread.is_alive() for thread in invoker._threads),
            refused=[({"store": "here"}, "store"), ({"store": "memory://x"}, "store")],
        )

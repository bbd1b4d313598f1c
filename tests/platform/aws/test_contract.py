"""AWS Lambda passes the platform contract: the account of the tests, and the stack that was deployed there."""

import pytest

from nnlite.platform.aws.functions import Lambda
from tests.platform.aws.account import ACCOUNT, REGION
from tests.platform.contract import Ground, PlatformContract

STORE = f"s3://nnlite-{ACCOUNT}-{REGION}/nnlite?region={REGION}"


class TestLambda(PlatformContract):
    @pytest.fixture
    def ground(self, stack):
        return Ground(
            Lambda(region=REGION),
            STORE,
            kill=lambda invoker: [container.process.kill() for container in list(stack.functions._busy)],
            refused=[({"workers": 200_000}, "workers"), ({"data_store": "here"}, "data_store")],
        )

    def test_what_aws_says_is_asked_once(self, stack, ground):
        stack.asked.clear()
        for _ in range(3):
            ground.platform.store_url()
            self.spec(ground, "asked")
        configurations = [what for what in stack.asked if "configuration" in what.lower()]
        assert len(configurations) <= 1, stack.asked
        before = len(stack.asked)
        Lambda(region=REGION).store_url()  # another object asks anew
        assert len(stack.asked) > before

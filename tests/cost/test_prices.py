"""Price files: the bundled one, a user's own, and what is none."""

import json
from dataclasses import asdict

import pytest

from nnlite.cost import prices
from nnlite.errors import UsageError

BUNDLED = json.loads(prices.BUNDLED.read_text())


def test_us_east_1_as_listed():
    x86, arm = prices.tariff("us-east-1"), prices.tariff("us-east-1", "arm64")
    assert (x86.gb_s_usd, arm.gb_s_usd) == (0.0000166667, 0.0000133334)
    assert x86.invocation_usd == pytest.approx(0.20 / 1e6)
    assert (x86.write_usd, x86.read_usd) == (pytest.approx(0.005 / 1000), pytest.approx(0.0004 / 1000))
    assert x86.date == BUNDLED["date"]


@pytest.mark.parametrize("region", BUNDLED["regions"])
def test_every_region_is_complete_and_sane(region):
    x86, arm = (prices.tariff(region, arch) for arch in prices.ARCHITECTURES)
    assert 0 < arm.gb_s_usd < x86.gb_s_usd < 1e-4
    assert 0 < x86.read_usd < x86.write_usd < 1e-4
    assert 0 < x86.gb_month_usd < 0.1


def test_a_run_on_lambda_counts_by_its_memory():
    of = {mb: prices.tariff("eu-west-1", "arm64").rates(mb) for mb in (512, 1024, 2048)}
    assert of[1024].worker_second_usd == pytest.approx(0.0000133334)
    assert of[2048].worker_second_usd == 2 * of[1024].worker_second_usd == 4 * of[512].worker_second_usd
    assert (of[512].platform, of[512].memory_mb) == ("lambda", 512)
    assert of[512].write_usd > of[512].read_usd > 0


def test_only_s3_charges_for_requests():
    listed = prices.tariff("eu-west-1")
    near = listed.of_store("memcached://127.0.0.1:1/x").rates(512)
    assert near.read_usd == near.write_usd == 0 < near.worker_second_usd
    assert listed.of_store("s3://bucket/x") == listed


def test_a_tariff_travels_as_json():
    tariff = prices.tariff("eu-west-1", "arm64")
    assert prices.Tariff.from_values(json.loads(json.dumps(asdict(tariff))), "here") == tariff


def test_a_user_s_own_file(tmp_path):
    mine = {"date": "2031-05-06", "regions": {"moon-1": dict.fromkeys(prices.ENTRIES, 0.5)}}
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(mine))
    found = prices.tariff("moon-1", "arm64", file)
    assert (found.date, found.gb_s_usd, found.write_usd) == ("2031-05-06", 0.5, 0.5)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is not a price file"),
        ("[]", "is not a price file"),
        ('{"date": "2030-01-01"}', "regions"),
        ('{"date": "2030-01-01", "regions": {}}', "no prices for region 'us-east-1'"),
        ('{"date": "2030-01-01", "regions": {"us-east-1": {}}}', "field 'lambda_gb_second_x86_64' is missing"),
        ('{"date": "2030-01-01", "regions": {"us-east-1": 7}}', "us-east-1': expected an object, found 7"),
        (json.dumps({"date": "x", "regions": {"us-east-1": dict.fromkeys(prices.ENTRIES, -1)}}), "found -1"),
        (json.dumps({"date": "x", "regions": {"us-east-1": dict.fromkeys(prices.ENTRIES, True)}}), "found true"),
    ],
)
def test_what_is_no_price_file(text, words):
    with pytest.raises(UsageError) as caught:
        prices.parse(text, "us-east-1", "x86_64", "mine.json")
    assert words in str(caught.value)
    assert "mine.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_region_names_those_there_are_and_the_way_out(tmp_path):
    with pytest.raises(UsageError, match=r"'mars-1'.*eu-west-1.*prices=FILE"):
        prices.tariff("mars-1")
    with pytest.raises(UsageError, match="cannot be read"):
        prices.tariff("us-east-1", file=tmp_path / "none.json")
    with pytest.raises(UsageError, match="x86_64 and arm64"):
        prices.tariff("us-east-1", "sparc")

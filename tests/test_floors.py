"""The oldest versions that are allowed, and what a newer configuration may not forget."""

import pytest

from tests.floors import floors


def test_each_required_package_has_a_floor_of_its_own():
    found = floors()
    assert found.keys() == {"numpy", "boto3", "botocore", "pymemcache"}
    assert found["botocore"] == found["boto3"]


def test_boto3_knows_the_settings_of_checksums():
    """Older ones refuse them, whatever is asked of S3."""
    assert tuple(map(int, floors()["boto3"].split("."))) >= (1, 36)


@pytest.mark.parametrize("line", ["numpy", "numpy==2.0", "numpy>=1.26,<3", "numpy>=2; python_version>'3.9'"])
def test_a_requirement_without_a_floor_is_named(line, tmp_path):
    (tmp_path / "setup.cfg").write_text(f"[options]\ninstall_requires =\n    {line}\n    boto3>=1.36\n")
    with pytest.raises(SystemExit, match="expected PACKAGE>=VERSION"):
        floors(tmp_path / "setup.cfg")

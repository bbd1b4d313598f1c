"""The oldest versions that setup.cfg allows of the packages nnlite requires, as constraints for pip.

python tests/floors.py > constraints.txt     # what `make test-floors` installs
"""

import configparser
import re
import sys
from pathlib import Path

SETUP = Path(__file__).resolve().parents[1] / "setup.cfg"
NEWEST_PYTHON = (3, 12)  # for which there is a wheel of the oldest NumPy


def floors(setup: Path = SETUP) -> dict[str, str]:
    """Package -> its oldest version; botocore's is boto3's, of which it is the larger part."""
    config = configparser.ConfigParser()
    config.read(setup)
    found = {}
    for line in config["options"]["install_requires"].split():
        match = re.fullmatch(r"([\w-]+)>=([\d.]+)", line)
        if match is None:
            raise SystemExit(
                f"setup.cfg requires {line!r}: expected PACKAGE>=VERSION, so that its oldest can be tested"
            )
        found[match[1]] = match[2]
    return found | {"botocore": found["boto3"]}


if __name__ == "__main__":
    if sys.version_info[:2] > NEWEST_PYTHON:
        newest = ".".join(map(str, NEWEST_PYTHON))
        raise SystemExit(
            f"the oldest NumPy has no wheel for this Python: name {newest} or an older one, as in "
            f"`make test-floors FLOORS_PYTHON=python{newest}`"
        )
    print("\n".join(f"{package}=={version}" for package, version in floors().items()))

"""The wheel holds nnlite alone: the sources of functions, lambda_pkg and faas, travel in it, as nnlite/functions."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

FUNCTIONS = ("lambda_pkg", "faas")
SOURCES = {".py", ".txt", ".yaml", ".json", ".md"}
NEVER = {"__pycache__", "nnlite", "build", "template", "data"}  # of caches, a link, of faas-cli, and of a user


def not_sources(folder: str, names: list[str]) -> set[str]:
    """What lies in a folder and is no part of it."""
    return {n for n in names if n in NEVER or not (Path(folder, n).is_dir() or Path(n).suffix in SOURCES)}


class BuildWithFunctions(build_py):
    """The packages, and the sources of functions in them."""

    def run(self) -> None:
        """Copy everything into a folder that is empty: what an older build left there would get into the wheel."""
        if self.editable_mode:
            return super().run()
        shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()
        for name in FUNCTIONS:
            target = Path(self.build_lib, "nnlite", "functions", name)
            shutil.copytree(Path(__file__).parent / name, target, ignore=not_sources)


setup(cmdclass={"build_py": BuildWithFunctions})

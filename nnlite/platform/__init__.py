"""Platforms: what it means for a run that its workers are on this machine, on AWS Lambda or on OpenFaaS."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nnlite.platform.base import Platform

PLATFORMS = {
    "local": "nnlite.platform.local:Local",
    "lambda": "nnlite.platform.aws.functions:Lambda",
    "openfaas": "nnlite.platform.openfaas.functions:OpenFaaS",
}  #: name -> module:class; a platform of somebody's own is one more entry


def find(name: str) -> type[Platform]:
    """The class of a platform, imported when it is asked for."""
    module, _, kind = PLATFORMS[name].partition(":")
    found: type[Platform] = getattr(importlib.import_module(module), kind)
    return found

"""Data: file formats, the catalog of datasets, shards and minibatches."""

from nnlite.data import shards
from nnlite.data.augment import Augment
from nnlite.data.catalog import load, names
from nnlite.data.dataset import Dataset, Split, to_float
from nnlite.data.minibatches import Batcher, Minibatches
from nnlite.data.values import Values

__all__ = ["Augment", "Batcher", "Dataset", "Minibatches", "Split", "Values", "load", "names", "shards", "to_float"]

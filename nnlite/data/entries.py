"""The table of known datasets: what each one is, where it is published, and its constants."""

from dataclasses import dataclass, replace

from nnlite.data import cifar, emnist
from nnlite.data.mnist import STEMS


@dataclass(frozen=True)
class Resource:
    """A published file: its name, the md5 its publisher gives, and where to get it, best first."""

    name: str
    md5: str
    urls: tuple[str, ...]


@dataclass(frozen=True)
class Entry:
    """A known dataset.

    kind: which reader reads it: mnist, emnist, cifar, sample or bits.
    folders: where below a data folder it may be; the first is also its name in the cache.
    official: the rows of the complete (train, test) splits.
    mean, std: of the train split, per channel, in units of x/255.
    labels_md5: of the test labels of the official files, to tell MNIST from Fashion-MNIST, whose files
        have the same names; "" if unknown.
    """

    name: str
    title: str
    kind: str
    folders: tuple[str, ...]
    expected: str
    official: tuple[int, int]
    num_classes: int
    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resources: tuple[Resource, ...] = ()
    labels_md5: str = ""


def _mnist_resources(md5s: tuple[str, ...], *bases: str) -> tuple[Resource, ...]:
    names = [f"{stem}.gz" for stem in STEMS]
    return tuple(
        Resource(name, md5, tuple(base + name for base in bases)) for name, md5 in zip(names, md5s, strict=True)
    )


_MNIST = Entry(
    name="mnist",
    title="handwritten digits, 28x28 grey, 10 classes",
    kind="mnist",
    folders=("mnist", "MNIST/raw", "MNIST"),
    expected=", ".join(f"{stem}.gz" for stem in STEMS),
    official=(60_000, 10_000),
    num_classes=10,
    class_names=tuple("0123456789"),
    mean=(0.1307,),
    std=(0.3081,),
    labels_md5="073c3904dfbd3e141ff8aa01cfde6b15",
    resources=_mnist_resources(
        (
            "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "d53e105ee54ea40749a09fcbcd1e9432",
            "9fb629c4189551a2d022fa330f9573f3",
            "ec29112dd5afa0611ce80d1b7f02629c",
        ),
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
)

_FASHION = replace(
    _MNIST,
    name="fashion-mnist",
    title="clothes, 28x28 grey, 10 classes",
    folders=("fashion-mnist", "FashionMNIST/raw", "FashionMNIST"),
    class_names=(
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
        "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    ),
    mean=(0.2860,),
    std=(0.3530,),
    labels_md5="8dea97a4e78c1bd1b5a6e8efbb870b6e",
    resources=_mnist_resources(
        (
            "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "25c81989df183df01b3e8a0aad5dffbe",
            "bef4ecab320f06d8554ea6380940ec79",
            "bb300cfdad3c16e7a12a480ee83cd310",
        ),
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    ),
)  # fmt: skip

_SAMPLE = replace(
    _FASHION,
    name="fashion-sample",
    title="the bundled part of Fashion-MNIST: needs no files",
    kind="sample",
    folders=(),
    resources=(),
    labels_md5="",
)

_CIFAR = Entry(
    name="cifar10",
    title="photographs, 32x32 colour, 10 classes",
    kind="cifar",
    folders=("cifar10", "cifar-10"),
    expected=f"{cifar.ARCHIVE} or {cifar.FOLDER}/",
    official=(50_000, 10_000),
    num_classes=10,
    class_names=cifar.CLASS_NAMES,
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2470, 0.2435, 0.2616),
    resources=(
        Resource(
            cifar.ARCHIVE,
            "c32a1d4ab5d03f1284b67883e8d87530",
            ("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",),
        ),
    ),
)

_BITS = Entry(
    name="bits",
    title="20 bits, the sign of x0x1 + x2x3 + x4x5: generated",
    kind="bits",
    folders=(),
    expected="",
    official=(40_000, 10_000),
    num_classes=1,
    class_names=(),
    mean=(0.0,),
    std=(1.0,),
)

_EMNIST_ARCHIVE = Resource(
    emnist.ARCHIVE,
    "58c8d27c78d21e728a6bc7b3cc06412e",
    (
        "https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip",
        "https://www.itl.nist.gov/iaui/vip/cs_links/EMNIST/gzip.zip",
    ),
)
_EMNIST_OFFICIAL = {
    "byclass": (697_932, 116_323),
    "bymerge": (697_932, 116_323),
    "balanced": (112_800, 18_800),
    "letters": (124_800, 20_800),
    "digits": (240_000, 40_000),
    "mnist": (60_000, 10_000),
}


def _emnist(split: str) -> Entry:
    num_classes = emnist.num_classes(split)
    return Entry(
        name=f"emnist-{split}",
        title=f"handwritten characters, 28x28 grey, {num_classes} classes",
        kind="emnist",
        folders=("emnist", "EMNIST/raw", "EMNIST"),
        expected=", ".join(f"{stem}.gz" for stem in emnist.stems(split)) + f" or {emnist.ARCHIVE}",
        official=_EMNIST_OFFICIAL[split],
        num_classes=num_classes,
        class_names=(),  # read with the files
        mean=(0.1736,),
        std=(0.3316,),
        resources=(_EMNIST_ARCHIVE,),
    )


_ALL = (_MNIST, _FASHION, _SAMPLE, _CIFAR, _BITS, *(_emnist(split) for split in emnist.SPLITS))
ENTRIES: dict[str, Entry] = {entry.name: entry for entry in _ALL}

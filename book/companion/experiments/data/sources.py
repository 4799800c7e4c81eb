"""What is known of each data set: size, origin, licence, checksums and how to get it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from companion.experiments.data.images import Transform
from companion.experiments.data.parts import DataBundle
from companion.experiments.data.sets import (
    celeba,
    cifar,
    digits,
    fashion,
    folders,
    mnist_m,
    newsgroups,
    svhn,
    words,
)
from companion.experiments.data.streamed import reading

Loader = Callable[..., DataBundle]
Kind = Literal["images in memory", "streamed images", "text"]


@dataclass(frozen=True)
class DataSource:
    """The facts about a data set that its users need before they load it.

    Attributes:
        title: the name that readers know.
        loader: takes the root, ``download=`` and its own options by name, and no others.
        kind: how the data come to a model.
        train: number of training samples of the whole set; None where it is up to the user.
        test: number of test samples, likewise.
        classes: K, or None where it is up to the user.
        shape: one input: (C, H, W) of images, (L,) of token ids; empty where it varies.
        groups: what the groups are, or empty.
        group_names: of the groups, where they are known without the data.
        citation: keys of ``references.bib``.
        licence: one sentence.
        url: home page of the original.
        checksums: original file → ``"md5:…"`` or ``"sha256:…"``, verified when it is read.
        get: how to get it and what the loader reads, as Markdown.
        verified: what is compared with a checksum, as Markdown.
        note: what else a reader should know; empty for nothing.
        transform: how its images are normalised and augmented; None where a page need not say.
        places: patterns of what lies below the data root where the data set is there.
        computed: whether it is made or packaged, so that nothing has to be fetched.
    """

    title: str
    loader: Loader
    kind: Kind
    train: int | None
    test: int | None
    classes: int | None
    shape: tuple[int, ...]
    citation: tuple[str, ...]
    licence: str
    url: str
    get: str
    groups: str = ""
    group_names: tuple[str, ...] = ()
    checksums: tuple[tuple[str, str], ...] = ()
    verified: str = "The checksum of each original file is compared before it is read:"
    note: str = ""
    transform: Transform | None = None
    places: tuple[str, ...] = ()
    computed: bool = False


def in_records(what: str) -> str:
    """The sentence of data without a published checksum: what the checksum of records covers."""
    return f"the SHA-256 of {what} enters the data checksum of every record."


DOWNLOADS = "`--download` fetches it by torchvision, or put the original files into "
CIFAR100_FILES = (
    ("train", "md5:16019d7e3df5f24257cddd939b257f8d"),
    ("test", "md5:f0ef6b0ae62326f3e7ffdfab6717acfc"),
)

SOURCES: dict[str, DataSource] = {
    "digits": DataSource(
        title="Digits",
        loader=digits.load_digits,
        computed=True,
        kind="images in memory",
        train=1348,
        test=449,
        classes=10,
        shape=(1, 8, 8),
        citation=("alpaydin1998optical", "pedregosa2011scikit"),
        licence="CC BY 4.0.",
        url="https://archive.ics.uci.edu/dataset/80/optical+recognition+of+handwritten+digits",
        get="Comes with scikit-learn; nothing to download.",
        note="Every fourth image is a test image.",
    ),
    "digits-parity": DataSource(
        title="Digits, even or odd",
        loader=digits.load_digits_parity,
        computed=True,
        kind="images in memory",
        train=1348,
        test=449,
        classes=2,
        shape=(1, 8, 8),
        groups="the ten digits",
        group_names=tuple("0123456789"),
        citation=("alpaydin1998optical", "pedregosa2011scikit"),
        licence="CC BY 4.0.",
        url="https://archive.ics.uci.edu/dataset/80/optical+recognition+of+handwritten+digits",
        get="Comes with scikit-learn; nothing to download.",
        note="The digits with two classes; a small stand-in for forgetting a group of a class.",
    ),
    "cifar10": DataSource(
        title="CIFAR-10",
        loader=cifar.load_cifar10,
        transform=cifar.CIFAR10_TRANSFORM,
        places=(
            "cifar10.npz",
            "cifar-10-batches-py/*",
        ),
        kind="images in memory",
        train=50_000,
        test=10_000,
        classes=10,
        shape=(3, 32, 32),
        citation=("krizhevsky2009learning",),
        licence="No licence is stated; its author asks to be cited.",
        url="https://www.cs.toronto.edu/~kriz/cifar.html",
        get=DOWNLOADS + "`cifar-10-batches-py/`.",
        checksums=(
            ("data_batch_1", "md5:c99cafc152244af753f735de768cd75f"),
            ("data_batch_2", "md5:d4bba439e000b95fd0a9bffe97cbabec"),
            ("data_batch_3", "md5:54ebc095f3ab1f0389bbae665268c751"),
            ("data_batch_4", "md5:634d18415352ddfa80567beed471001a"),
            ("data_batch_5", "md5:482c414d41f54cd18b22e5b47cb7c3cb"),
            ("test_batch", "md5:40351d587109b95175f43aff81a1287e"),
        ),
    ),
    "cifar100": DataSource(
        title="CIFAR-100",
        loader=cifar.load_cifar100,
        transform=cifar.CIFAR100_TRANSFORM,
        places=(
            "cifar100.npz",
            "cifar-100-python/*",
        ),
        kind="images in memory",
        train=50_000,
        test=10_000,
        classes=100,
        shape=(3, 32, 32),
        citation=("krizhevsky2009learning",),
        licence="No licence is stated; its author asks to be cited.",
        url="https://www.cs.toronto.edu/~kriz/cifar.html",
        get=DOWNLOADS + "`cifar-100-python/`.",
        checksums=CIFAR100_FILES,
    ),
    "cifar20": DataSource(
        title="CIFAR-20",
        loader=cifar.load_cifar20,
        transform=cifar.CIFAR100_TRANSFORM,
        places=(
            "cifar100.npz",
            "cifar-100-python/*",
        ),
        kind="images in memory",
        train=50_000,
        test=10_000,
        classes=20,
        shape=(3, 32, 32),
        groups="the 100 fine classes",
        group_names=tuple(cifar.CIFAR100),
        citation=("krizhevsky2009learning",),
        licence="As CIFAR-100.",
        url="https://www.cs.toronto.edu/~kriz/cifar.html",
        get="The files of CIFAR-100.",
        checksums=CIFAR100_FILES,
        note="CIFAR-100 with its 20 coarse labels, the superclasses, as classes.",
    ),
    "svhn": DataSource(
        title="SVHN",
        loader=svhn.load_svhn,
        transform=svhn.TRANSFORM,
        places=(
            "svhn.npz",
            "train_32x32.mat",
            "test_32x32.mat",
        ),
        kind="images in memory",
        train=73_257,
        test=26_032,
        classes=10,
        shape=(3, 32, 32),
        citation=("netzer2011reading",),
        licence="For non-commercial use only.",
        url="http://ufldl.stanford.edu/housenumbers/",
        get=DOWNLOADS + "the data root: `train_32x32.mat` and `test_32x32.mat`.",
        checksums=(
            ("train_32x32.mat", "md5:e26dedcc434d2e4c54c9b2d4a06d8373"),
            ("test_32x32.mat", "md5:eb5a983be6a315427106f1b164d9cef3"),
        ),
        note="Cropped digits; label 10 of the files is digit 0. The extra set is not used.",
    ),
    "fashion-mnist": DataSource(
        title="Fashion-MNIST",
        loader=fashion.load_fashion_mnist,
        transform=fashion.TRANSFORM,
        places=(
            "fashion_mnist.npz",
            "FashionMNIST/raw/*",
        ),
        kind="images in memory",
        train=60_000,
        test=10_000,
        classes=10,
        shape=(1, 28, 28),
        citation=("xiao2017fashion",),
        licence="MIT.",
        url="https://github.com/zalandoresearch/fashion-mnist",
        get=DOWNLOADS + "`FashionMNIST/raw/`, compressed as they come.",
        checksums=(
            ("train-images-idx3-ubyte.gz", "md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
            ("train-labels-idx1-ubyte.gz", "md5:25c81989df183df01b3e8a0aad5dffbe"),
            ("t10k-images-idx3-ubyte.gz", "md5:bef4ecab320f06d8554ea6380940ec79"),
            ("t10k-labels-idx1-ubyte.gz", "md5:bb300cfdad3c16e7a12a480ee83cd310"),
        ),
    ),
    "mnist-m": DataSource(
        title="MNIST-M",
        loader=mnist_m.load_mnist_m,
        transform=mnist_m.TRANSFORM,
        places=(
            "mnist_m.npz",
            "mnist_m/mnist_m_*",
        ),
        kind="images in memory",
        train=59_001,
        test=9_001,
        classes=10,
        shape=(3, 32, 32),
        citation=("ganin2016domain", "lecun1998gradient", "arbelaez2011contour"),
        licence="None is stated; made of MNIST and of photographs of BSDS500, for research.",
        url="http://yaroslav.ganin.net/",
        get=(
            "No download. Put the decoded copy `mnist_m.npz` into the data root, or the PNG files "
            "with their lists: `mnist_m/mnist_m_train/`, `mnist_m/mnist_m_train_labels.txt` and "
            "the same for `test`."
        ),
        verified=f"No checksum is published; {in_records('values and labels')}",
        note=(
            "Handwritten digits in colour on photographs. Where SVHN is unavailable it stands in "
            "for it as a set of coloured digits, under its own name: its numbers are not SVHN's."
        ),
    ),
    "celeba": DataSource(
        title="CelebA",
        loader=celeba.load_celeba,
        transform=celeba.TRANSFORM,
        places=(
            "celeba.npz",
            "celeba/*",
        ),
        kind="images in memory",
        train=162_770,
        test=19_962,
        classes=2,
        shape=(3, 64, 64),
        groups="the identities (10,177 in all)",
        citation=("liu2015deep",),
        licence="For non-commercial research only; the images may not be passed on.",
        url="https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html",
        get=(
            "`--download` fetches it by torchvision and gdown (`pip install "
            '"ugradsl-core[download]"`), or put the original files into `celeba/`: the folder '
            "`img_align_celeba/`, `list_attr_celeba.txt`, `identity_CelebA.txt` and "
            "`list_eval_partition.txt`."
        ),
        checksums=(
            ("list_attr_celeba.txt", "md5:75e246fa4810816ffd6ee81facbd244c"),
            ("identity_CelebA.txt", "md5:32bd1bd63d3c78cd57e08160ec5ed1e2"),
            ("list_eval_partition.txt", "md5:d32c9cbf5e040fd4025c592c306e6668"),
        ),
        verified=(
            "The checksums of the lists are compared before they are read, that of the archive "
            "when torchvision downloads it. None is published for the single images; "
            + in_records("values, labels and identities")
        ),
        note=(
            "The label is the attribute Smiling. The aligned faces are cropped to their central "
            "square and resized (Lanczos) to `image_size`, 64 unless told otherwise. Training and "
            "test images are those of the official partition, whose validation images are not "
            "used; its identities do not overlap. This book shows no picture of it."
        ),
    ),
    "tiny-imagenet": DataSource(
        title="Tiny-ImageNet",
        loader=folders.load_tiny_imagenet,
        transform=reading.transform_of(64),
        places=("tiny-imagenet*/train",),
        kind="streamed images",
        train=100_000,
        test=10_000,
        classes=200,
        shape=(3, 64, 64),
        citation=("le2015tiny", "russakovsky2015imagenet"),
        licence="ImageNet's terms: for non-commercial research and education only.",
        url="http://cs231n.stanford.edu/tiny-imagenet-200.zip",
        get=(
            "Unpack `tiny-imagenet-200.zip` into the data root. The archive's own layout and an "
            "ImageFolder (`train/<wnid>/`, `val/<wnid>/`) are both read, with all classes or some."
        ),
        verified=f"No checksum is published; {in_records('all paths, sizes and labels')}",
        note=(
            "The validation images are the test set, as the archive's test images have no labels. "
            "Decoded it takes 1.4 GB and is held in memory unless `stream=True`."
        ),
    ),
    "imagenet": DataSource(
        title="ImageNet",
        loader=folders.load_imagenet,
        transform=reading.transform_of(224),
        places=(
            "imagenet/train",
            "imagenet/val",
        ),
        kind="streamed images",
        train=1_281_167,
        test=50_000,
        classes=1000,
        shape=(3, 224, 224),
        citation=("russakovsky2015imagenet",),
        licence="For non-commercial research and education only, after registration.",
        url="https://www.image-net.org/challenges/LSVRC/2012/",
        get=(
            "Put the images of ILSVRC 2012 into `imagenet/train/<wnid>/` and "
            "`imagenet/val/<wnid>/` below the data root."
        ),
        verified=(
            "Checksums are published only for the archives, which are not read here; "
            + in_records("all paths, sizes and labels")
        ),
        note=(
            "The validation images are the test set. The shorter side becomes 256 pixels and the "
            "central square of 224 is taken; in training, too, where a crop after padding takes "
            "the place of the usual random resized crop."
        ),
    ),
    "20newsgroups": DataSource(
        title="20 Newsgroups",
        loader=newsgroups.load_newsgroups,
        places=(
            "20news-bydate-train",
            "20news-bydate_py3.pkz",
        ),
        kind="text",
        train=11_314,
        test=7_532,
        classes=20,
        shape=(128,),
        groups="the six topic families",
        group_names=tuple(newsgroups.FAMILIES),
        citation=("lang1995newsweeder", "pedregosa2011scikit"),
        licence="None is stated; messages of Usenet.",
        url="http://qwone.com/~jason/20Newsgroups/",
        get=(
            "`--download` fetches the archive that scikit-learn names and unpacks it, or put the "
            "folders `20news-bydate-train/` and `20news-bydate-test/` into the data root, or "
            "scikit-learn's cache `20news-bydate_py3.pkz`."
        ),
        checksums=(
            (
                "20news-bydate.tar.gz",
                "sha256:8f1b2514ca22a5ade8fbb9cfa5727df95fa587f4c87b786e15c759fa66d95610",
            ),
        ),
        verified=(
            "The checksum of the archive is compared when it is downloaded; those of the texts and "
            "labels of each part whenever they are read, be it from the folders or from "
            "scikit-learn's cache. No checksums of these are published; this package keeps its own:"
        ),
        note=(
            "The by-date version, with headers, quotations and signatures. Each text is cut or "
            "padded to `max_length` tokens, 128 unless told otherwise, by the Hugging Face "
            "`tokenizer` (a name in its cache, a folder, or `package:NAME`); without one, by a "
            "tokenizer of the 8,192 most frequent words of the training texts. scikit-learn's "
            "cache is a pickle and carries no published checksum: it is read by an unpickler that "
            "knows texts and arrays only, so nothing in it can run, and the texts of all forms "
            "are verified by the same SHA-256."
        ),
    ),
    "words": DataSource(
        title="Words",
        loader=words.load_words,
        computed=True,
        kind="text",
        train=480,
        test=160,
        classes=4,
        shape=(12,),
        groups="two halves of each class",
        group_names=tuple(f"{name} {half}" for name in words.CLASSES for half in (1, 2)),
        citation=(),
        licence="None needed.",
        url="",
        get="Made by this package; nothing to download.",
        note=(
            "Synthetic: ten invented words a text, drawn from a fixed seed. It lets BERT and the "
            "text path run anywhere, in seconds; its numbers say nothing about language."
        ),
    ),
}

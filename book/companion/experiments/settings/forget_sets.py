"""Forget sets: at random, a class, a group, whole groups or a list of samples."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor

from companion.experiments.data.images import NamedSamples
from companion.experiments.data.sources import DataSource
from companion.experiments.settings.index_files import check_range, file_sha256, read_index
from ugradsl_core.errors import ConfigError, DataError, unknown_name


@dataclass(frozen=True, eq=False)
class Split:
    """Indices into a training set: D_r and D_f, disjoint and covering, sorted."""

    retain: Tensor
    forget: Tensor
    description: str
    forgotten_class: int | None = None


SPELT_OUT = 120  # groups that an error message lists; CIFAR-20 has 100, CelebA thousands


def stratified_sample(labels: Tensor, size: int, generator: Generator) -> Tensor:
    """Sorted indices of ``size`` samples whose class shares are those of ``labels``.

    Shares are rounded by largest remainders, so that the size is exact and every class is within
    one sample of its share; ties are broken at random.
    """
    if size == 0:
        return torch.empty(0, dtype=torch.long)
    classes, counts = torch.unique(labels, return_counts=True)
    exact = counts.to(torch.float64) * size / len(labels)
    quota = exact.floor().long()
    tie_break = torch.rand(len(classes), generator=generator, dtype=torch.float64) * 1e-9
    order = (exact - quota + tie_break).argsort(descending=True)
    quota[order[: size - int(quota.sum())]] += 1
    chosen = []
    for label, count in zip(classes.tolist(), quota.tolist(), strict=True):
        members = (labels == label).nonzero().flatten()
        chosen.append(members[torch.randperm(len(members), generator=generator)[:count]])
    return torch.cat(chosen).sort().values


def complement(size: int, index: Tensor) -> Tensor:
    """Sorted indices below ``size`` that are not in ``index``."""
    keep = torch.ones(size, dtype=torch.bool)
    keep[index] = False
    return keep.nonzero().flatten()


def random_split(
    labels: Tensor, fraction: float, generator: Generator, *, stratified: bool = True
) -> Split:
    """Random forgetting: D_f is ``fraction`` of D_tr.

    By default it is drawn from every class in proportion ("we make sure the distribution of D_f
    is the same as D_tr", Appendix E.2); ``stratified=False`` draws uniformly.

    Raises:
        ConfigError: ``fraction`` outside (0, 1).
        DataError: D_f or D_r would be empty.
    """
    if not 0 < fraction < 1:
        raise ConfigError(f"fraction: should lie strictly between 0 and 1; found {fraction!r}")
    size = round(fraction * len(labels))
    if size == 0 or size == len(labels):
        raise DataError(f"fraction: {fraction} of {len(labels)} samples leaves D_f or D_r empty")
    if stratified:
        forget = stratified_sample(labels, size, generator)
    else:
        forget = torch.randperm(len(labels), generator=generator)[:size].sort().values
    return Split(complement(len(labels), forget), forget, f"random {fraction:g}")


def class_split(labels: Tensor, forgotten_class: int, num_classes: int) -> Split:
    """Class-wise forgetting: D_f is a whole class of D_tr.

    The class also leaves the test set: see :func:`without_class`.

    Raises:
        DataError: the class is outside 0…K−1, or has no samples, or all of them.
    """
    _check_class(forgotten_class, num_classes)
    forget = _some(labels == forgotten_class, f"forgotten_class: class {forgotten_class}")
    return Split(
        complement(len(labels), forget), forget, f"class {forgotten_class}", forgotten_class
    )


def without_class(labels: Tensor, forgotten_class: int) -> Tensor:
    """Indices of the samples of all other classes."""
    return (labels != forgotten_class).nonzero().flatten()


def find_group(group: str | int, names: Sequence[str]) -> int:
    """The number of a group that is given by its name, or else by its number.

    Where a name is itself a number, as identities are, a number is a name and nothing else: an
    identity that is not there would otherwise be taken for another one's place.

    Raises:
        ConfigError: there is no such group.
    """
    if str(group) in names:
        return list(names).index(str(group))
    numbered = not any(name.isdecimal() for name in names)
    if numbered and str(group).isdecimal() and int(group) < len(names):
        return int(group)
    if numbered and str(group).isdecimal():
        raise ConfigError(
            f"forgotten_group: should lie in 0…{len(names) - 1}, or be a name; found {group}"
        )
    if len(names) <= SPELT_OUT:
        raise unknown_name("forgotten_group", group, names)
    raise ConfigError(
        f"unknown forgotten_group {group!r}; there are {len(names)} groups, such as {names[0]!r}"
    )


def group_split(groups: Tensor, number: int, name: str) -> Split:
    """Group forgetting, one group: D_f is every sample of it; the test set stays as it is.

    Raises:
        DataError: it has no samples, or all of them.
    """
    forget = _some(groups == number, f"forgotten_group: {name}")
    return Split(complement(len(groups), forget), forget, f"group {name}")


def group_share_split(groups: Tensor, fraction: float, generator: Generator) -> Split:
    """Group forgetting, a share of the groups: D_f is every sample of those that are drawn.

    The number of drawn groups is ``fraction`` of those in D_tr, rounded: 82 of CelebA's 8,192
    identities at 0.01.

    Raises:
        ConfigError: ``fraction`` outside (0, 1).
        DataError: no group or every group would be drawn.
    """
    if not 0 < fraction < 1:
        raise ConfigError(f"group_fraction: should lie strictly between 0 and 1; found {fraction}")
    present = torch.unique(groups)
    count = round(fraction * len(present))
    if count in {0, len(present)}:
        raise DataError(
            f"group_fraction: {fraction} of {len(present)} groups leaves D_f or D_r empty"
        )
    drawn = present[torch.randperm(len(present), generator=generator)[:count]]
    forget = torch.isin(groups, drawn).nonzero().flatten()
    return Split(complement(len(groups), forget), forget, f"{fraction:g} of the groups")


def whole_groups(groups: Tensor, size: int, generator: Generator) -> Tensor:
    """Sorted indices of randomly drawn whole groups, as near to ``size`` samples as they come.

    At least one group is drawn for a ``size`` above 0, so the difference is below the size of
    the largest group.
    """
    if size == 0 or len(groups) == 0:
        return torch.empty(0, dtype=torch.long)
    present, counts = torch.unique(groups, return_counts=True)
    order = torch.randperm(len(present), generator=generator)
    reached = counts[order].cumsum(0)
    last = int((reached - size).abs().argmin())
    return torch.isin(groups, present[order[: last + 1]]).nonzero().flatten()


def index_split(size: int, forget: Tensor) -> Split:
    """A given forget set: sorted indices ``forget`` below ``size``.

    Raises:
        DataError: D_f or D_r would be empty.
    """
    if len(forget) == 0 or len(forget) == size:
        raise DataError(f"index_file: {len(forget)} of {size} samples leaves D_f or D_r empty")
    return Split(complement(size, forget), forget, f"{len(forget)} listed samples")


def _check_class(number: int, num_classes: int) -> None:
    if not 0 <= number < num_classes:
        raise DataError(f"forgotten_class: should lie in 0…{num_classes - 1}; found {number!r}")


def _some(chosen: Tensor, what: str) -> Tensor:
    """Indices of what is chosen: neither nothing nor everything."""
    index = chosen.nonzero().flatten()
    if len(index) in {0, len(chosen)}:
        raise DataError(f"{what} holds {'all' if len(index) else 'none'} of D_tr")
    return index


def _expected(forget: int, total: int, what: str) -> int:
    if not 0 < forget < total:
        raise DataError(f"{what} leaves D_f or D_r empty")
    return forget


class ForgetSet(ABC):
    """What is forgotten, and all that a setting has to know of it."""

    @property
    def subset(self) -> str | None:
        """What the training subset depends on beside its size.

        None is nothing, so that settings with other forget sets share their original models.
        """
        return None

    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """The part of a setting's identity."""

    @abstractmethod
    def words(self) -> str:
        """The forget set in words, such as ``class 3 forgotten``."""

    @abstractmethod
    def split(self, train: NamedSamples, rows: Tensor, generator: Generator) -> Split:
        """D_r and D_f.

        Args:
            train: D_tr.
            rows: which samples of the data set D_tr is, int64, (N,).
            generator: of what is drawn.

        Raises:
            ConfigError: no such group.
            DataError: no such class, or D_f or D_r would be empty.
        """

    @abstractmethod
    def expected_size(self, dataset: str, source: DataSource, total: int) -> int:
        """The size of D_f for a data set that need not be there.

        Classes and groups count as equally large.

        Args:
            dataset: its name.
            source: what is known of it.
            total: |D_tr|.

        Raises:
            ConfigError: no such group.
            DataError: no such class or sample, no known group, or D_f or D_r would be empty.
        """

    @abstractmethod
    def check(self, train: NamedSamples, dataset: str) -> None:
        """Raise unless a data set has what is to be forgotten.

        Raises:
            ConfigError: no such group.
            DataError: no such class, no groups, or an index file that does not fit.
        """

    def draw(
        self, train: NamedSamples, size: int, validation: int, generator: Generator
    ) -> tuple[Tensor, Tensor]:
        """Sorted indices of D_tr and of the validation samples, both drawn from every class.

        Raises:
            DataError: D_tr would have nothing but the samples to forget.
        """
        return _draw_around(torch.empty(0, dtype=torch.long), train, size, validation, generator)

    def judged(self, labels: Tensor) -> Tensor | None:
        """Which samples of the test or validation set count, or None for all."""
        return None


def _draw_around(
    fixed: Tensor, train: NamedSamples, size: int, validation: int, generator: Generator
) -> tuple[Tensor, Tensor]:
    labels, total = train.labels, len(train)
    others = complement(total, fixed)
    drawn = others[stratified_sample(labels[others], size - len(fixed), generator)]
    chosen = torch.cat([fixed, drawn]).sort().values
    rest = complement(total, chosen)
    return chosen, rest[stratified_sample(labels[rest], validation, generator)]


@dataclass(frozen=True)
class ShareOfSamples(ForgetSet):
    """Random forgetting of a share of D_tr, drawn from every class in proportion."""

    fraction: float

    def identity(self) -> dict[str, Any]:
        return {"fraction": self.fraction}

    def words(self) -> str:
        return f"a random {100 * self.fraction:g} % forgotten"

    def split(self, train: NamedSamples, rows: Tensor, generator: Generator) -> Split:
        return random_split(train.labels, self.fraction, generator)

    def expected_size(self, dataset: str, source: DataSource, total: int) -> int:
        what = f"fraction: {self.fraction} of {total} samples"
        return _expected(round(self.fraction * total), total, what)

    def check(self, train: NamedSamples, dataset: str) -> None:
        """Every data set has samples to forget."""


@dataclass(frozen=True)
class OneClass(ForgetSet):
    """Class-wise forgetting; the class leaves the test set, too."""

    number: int

    def identity(self) -> dict[str, Any]:
        return {"forgotten_class": self.number}

    def words(self) -> str:
        return f"class {self.number} forgotten"

    def split(self, train: NamedSamples, rows: Tensor, generator: Generator) -> Split:
        return class_split(train.labels, self.number, train.num_classes)

    def expected_size(self, dataset: str, source: DataSource, total: int) -> int:
        classes = source.classes or 0
        _check_class(self.number, classes)
        return _expected(total // classes, total, "forgotten_class: one class")

    def check(self, train: NamedSamples, dataset: str) -> None:
        _check_class(self.number, train.num_classes)

    def judged(self, labels: Tensor) -> Tensor | None:
        return without_class(labels, self.number)


@dataclass(frozen=True)
class OneGroup(ForgetSet):
    """Group forgetting of one group, given by its name or number."""

    group: str | int

    def identity(self) -> dict[str, Any]:
        return {"forgotten_group": self.group}

    def words(self) -> str:
        return f"group {self.group} forgotten"

    def split(self, train: NamedSamples, rows: Tensor, generator: Generator) -> Split:
        number = find_group(self.group, train.group_names)
        return group_split(_groups(train), number, train.group_names[number])

    def expected_size(self, dataset: str, source: DataSource, total: int) -> int:
        _check_grouped(source, dataset)
        names = source.group_names
        if not names:
            raise DataError(f"{dataset}: the size of its groups is not known")
        find_group(self.group, names)
        return _expected(total // len(names), total, "forgotten_group: one group")

    def check(self, train: NamedSamples, dataset: str) -> None:
        _groups(train, dataset)
        find_group(self.group, train.group_names)


@dataclass(frozen=True)
class ShareOfGroups(ForgetSet):
    """Group forgetting of a share of the groups; subsets hold whole groups, too."""

    fraction: float
    subset = "whole groups"

    def identity(self) -> dict[str, Any]:
        return {"group_fraction": self.fraction}

    def words(self) -> str:
        return f"{100 * self.fraction:g} % of the groups forgotten"

    def split(self, train: NamedSamples, rows: Tensor, generator: Generator) -> Split:
        return group_share_split(_groups(train), self.fraction, generator)

    def expected_size(self, dataset: str, source: DataSource, total: int) -> int:
        _check_grouped(source, dataset)
        names = len(source.group_names)
        none_or_all = names > 0 and round(self.fraction * names) in {0, names}
        forget = 0 if none_or_all else round(self.fraction * total)
        return _expected(forget, total, f"group_fraction: {self.fraction} of the groups")

    def check(self, train: NamedSamples, dataset: str) -> None:
        _groups(train, dataset)

    def draw(
        self, train: NamedSamples, size: int, validation: int, generator: Generator
    ) -> tuple[Tensor, Tensor]:
        """Sorted indices of D_tr and of the validation samples, in whole groups."""
        if size == len(train):
            return super().draw(train, size, validation, generator)
        groups = _groups(train)
        chosen = whole_groups(groups, size, generator)
        rest = complement(len(train), chosen)
        return chosen, rest[whole_groups(groups[rest], validation, generator)]


@dataclass(frozen=True)
class ListedSamples(ForgetSet):
    """The samples that a file lists; they are in every training subset."""

    sha256: str
    path: str | None = None

    @property
    def subset(self) -> str:
        return self.sha256

    def identity(self) -> dict[str, Any]:
        return {"index_sha256": self.sha256}

    def words(self) -> str:
        return f"listed samples forgotten (file {self.sha256[:12]})"

    def split(self, train: NamedSamples, rows: Tensor, generator: Generator) -> Split:
        index = read_index(str(self.path))
        return index_split(len(train), torch.isin(rows, index).nonzero().flatten())

    def expected_size(self, dataset: str, source: DataSource, total: int) -> int:
        return len(self._read(source.train or 0, dataset, total))

    def check(self, train: NamedSamples, dataset: str) -> None:
        self._read(len(train), dataset)

    def draw(
        self, train: NamedSamples, size: int, validation: int, generator: Generator
    ) -> tuple[Tensor, Tensor]:
        """Sorted indices of D_tr and of the validation samples, drawn around the listed ones."""
        listed = self._read(len(train), "", size)
        return _draw_around(listed, train, size, validation, generator)

    def _read(self, whole: int, dataset: str, total: int | None = None) -> Tensor:
        """The indices of the file, which must be the one that the setting was made with."""
        path = str(self.path)
        if file_sha256(path) != self.sha256:
            raise DataError(f"index_file: {path} has changed since the setting was made")
        index = read_index(path, whole)
        check_range(index, whole, path, dataset)
        if total is not None and len(index) >= total:
            raise DataError(f"index_file: lists {len(index)} samples, and D_tr has {total}")
        return index


def _no_groups(dataset: str) -> DataError:
    return DataError(f"paradigm: {dataset} has no groups, so none can be forgotten")


def _check_grouped(source: DataSource, dataset: str) -> None:
    if not source.groups:
        raise _no_groups(dataset)


def _groups(train: NamedSamples, dataset: str = "") -> Tensor:
    if train.groups is None:
        raise _no_groups(dataset)
    return train.groups


def forget_set(values: Mapping[str, Any]) -> ForgetSet:
    """What the fields of a setting, or of its identity in a record, say is forgotten."""
    match values["paradigm"]:
        case "class-wise":
            return OneClass(values["forgotten_class"])
        case "index":
            return ListedSamples(values["index_sha256"], values.get("index_file"))
        case "group" if values.get("group_fraction") is not None:
            return ShareOfGroups(values["group_fraction"])
        case "group":
            return OneGroup(values["forgotten_group"])
    return ShareOfSamples(values["fraction"])

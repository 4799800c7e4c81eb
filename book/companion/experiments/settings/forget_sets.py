"""Forget sets: at random, a class, a group, whole groups or a list of samples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor

from companion.experiments.data.images import NamedSamples
from companion.experiments.settings.index_files import check_range, file_sha256, read_index
from companion.experiments.settings.seeds import stream
from companion.experiments.settings.setting import Setting
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
        ConfigError: the class is outside 0…K−1.
        DataError: it has no samples, or all of them.
    """
    if not 0 <= forgotten_class < num_classes:
        raise ConfigError(
            f"forgotten_class: should lie in 0…{num_classes - 1}; found {forgotten_class!r}"
        )
    forget = (labels == forgotten_class).nonzero().flatten()
    if len(forget) == 0 or len(forget) == len(labels):
        raise DataError(f"forgotten_class: class {forgotten_class} holds none or all of D_tr")
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
    forget = (groups == number).nonzero().flatten()
    if len(forget) == 0 or len(forget) == len(groups):
        raise DataError(f"forgotten_group: {name} holds none or all of D_tr")
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


def what_is_forgotten(setting: Mapping[str, Any]) -> str:
    """The forget set of a setting's identity, in words."""
    match setting["paradigm"]:
        case "class-wise":
            return f"class {setting['forgotten_class']} forgotten"
        case "group" if setting.get("group_fraction") is not None:
            return f"{100 * setting['group_fraction']:g} % of the groups forgotten"
        case "group":
            return f"group {setting['forgotten_group']} forgotten"
        case "index":
            return f"listed samples forgotten (file {setting['index_sha256'][:12]})"
    return f"a random {100 * setting['fraction']:g} % forgotten"


def check_class(setting: Setting, num_classes: int) -> None:
    """Raise DataError where the class to forget is none of K."""
    if setting.paradigm == "class-wise" and setting.forgotten_class >= num_classes:
        raise DataError(
            f"forgotten_class: should lie in 0…{num_classes - 1}; found {setting.forgotten_class}"
        )


def no_groups(dataset: str) -> DataError:
    """The error where a group is to be forgotten and there are none."""
    return DataError(f"paradigm: {dataset} has no groups, so none can be forgotten")


def check_listed(listed: int, size: int) -> None:
    """Raise DataError unless D_tr, of ``size`` samples, has more than those that are listed."""
    if listed >= size:
        raise DataError(f"index_file: lists {listed} samples, and D_tr has {size}")


def _check_forget_set(setting: Setting, train: NamedSamples) -> None:
    """Raise unless the data set has the class, the group or the indices to forget."""
    check_class(setting, train.num_classes)
    if setting.paradigm == "group" and train.groups is None:
        raise no_groups(setting.dataset)
    if setting.forgotten_group is not None:
        find_group(setting.forgotten_group, train.group_names)
    if setting.index_file is not None:
        _listed(setting, len(train))


def _listed(setting: Setting, total: int) -> Tensor:
    """The indices of the setting's file, which must be the one that the setting was made with."""
    path = str(setting.index_file)
    if file_sha256(path) != setting.index_sha256:
        raise DataError(f"index_file: {path} has changed since the setting was made")
    index = read_index(path, total)
    check_range(index, total, path, setting.dataset)
    return index


def make_split(
    setting: Setting, train: NamedSamples, seed: int, rows: Tensor | None = None
) -> Split:
    """The forget set of a seed.

    Args:
        setting: which paradigm.
        train: D_tr.
        seed: of what is drawn.
        rows: which samples of the data set D_tr is, for a file of indices; None is all.

    Raises:
        ConfigError: no such class or group.
        DataError: D_f or D_r would be empty.
    """
    if setting.paradigm == "class-wise":
        if setting.forgotten_class < train.num_classes:
            held = train.labels == setting.forgotten_class
            _check_share(f"forgotten_class: class {setting.forgotten_class}", held)
        return class_split(train.labels, setting.forgotten_class, train.num_classes)
    if setting.paradigm == "index":
        rows = torch.arange(len(train)) if rows is None else rows
        index = read_index(str(setting.index_file))
        return index_split(len(train), torch.isin(rows, index).nonzero().flatten())
    if setting.paradigm == "group" and train.groups is not None:
        if setting.group_fraction is not None:
            generator = stream(seed, "split")
            return group_share_split(train.groups, setting.group_fraction, generator)
        number = find_group(str(setting.forgotten_group), train.group_names)
        _check_share(f"forgotten_group: {train.group_names[number]}", train.groups == number)
        return group_split(train.groups, number, train.group_names[number])
    return random_split(train.labels, setting.fraction, stream(seed, "split"))


def _check_share(what: str, held: Tensor) -> None:
    if bool(held.all()) or not bool(held.any()):
        raise DataError(f"{what} holds {'all' if bool(held.any()) else 'none'} of D_tr")

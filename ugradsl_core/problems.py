"""A setting and a seed to an unlearning problem: data, split, and the original model."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Generator, Tensor, nn

from ugradsl_core import data, models, splits
from ugradsl_core.errors import DataError
from ugradsl_core.index_files import check_range, file_sha256, read_index
from ugradsl_core.settings import DATA_OPTIONS, FORGET_FIELDS, Setting, digest
from ugradsl_core.store import Store, drop_state, keep_checkpoint, load_state, save_state
from ugradsl_core.training import train
from ugradsl_core.types import Execution, NamedSamples, Problem, Split
from ugradsl_core.unlearning.common import cross_entropy, one_set_plan

Judge = Literal["test", "validation"]
Progress = Callable[[str], None]
SUBSET_SEED = 0


def silent(_: str) -> None:
    """Progress that nobody watches."""


def stream(seed: int, purpose: str) -> Generator:
    """The generator of a purpose under a seed; different purposes are independent."""
    hashed = hashlib.sha256(f"{seed}:{purpose}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(hashed[:7], "big"))


@dataclass(frozen=True, eq=False)
class Data:
    """The data of a setting: the same for all seeds.

    Attributes:
        train: D_tr.
        validation: training samples outside D_tr.
        test: D_te.
        checksum: of the data set.
        rows: which training samples of the data set are D_tr, sorted, int64, (N,).
    """

    train: NamedSamples
    validation: NamedSamples
    test: NamedSamples
    checksum: str
    rows: Tensor


def load_data(
    setting: Setting, execution: Execution, root: str | None = None, *, download: bool = False
) -> Data:
    """Load a setting's data set and cut its training subset and validation set.

    Raises:
        ConfigError: unknown group, or an option that the data set does not know.
        DataError: fewer samples than the setting asks for, no groups, or a wrong index file.
    """
    options = {name: getattr(setting, name) for name in DATA_OPTIONS}
    device = execution.resolve()
    bundle = data.load(setting.dataset, root, download=download, device=device, **options)
    size = training_size(setting, len(bundle.train))
    _check_forget_set(setting, bundle.train)
    chosen, drawn = _subset(setting, bundle.train, size)
    return Data(
        bundle.train.take(chosen),
        bundle.train.take(drawn),
        bundle.test,
        digest([bundle.train.checksum, bundle.test.checksum]),
        chosen,
    )


def training_size(setting: Setting, total: int) -> int:
    """The samples of D_tr, of ``total`` training samples.

    Raises:
        DataError: the data set has fewer than the setting asks for.
    """
    size = total - setting.validation_size if setting.train_size is None else setting.train_size
    if size < 2 or size + setting.validation_size > total:
        raise DataError(
            f"train_size + validation_size: should be at most {total}, the training images of "
            f"{setting.dataset}; found {size} + {setting.validation_size}"
        )
    return size


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
        splits.find_group(setting.forgotten_group, train.group_names)
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


def _subset(setting: Setting, train: NamedSamples, size: int) -> tuple[Tensor, Tensor]:
    """Training and validation samples, sorted; what is forgotten as a whole is drawn as a whole."""
    generator = torch.Generator().manual_seed(SUBSET_SEED)
    labels, total = train.labels, len(train)
    if setting.group_fraction is not None and train.groups is not None and size < total:
        chosen = splits.whole_groups(train.groups, size, generator)
        rest = splits.complement(total, chosen)
        held = splits.whole_groups(train.groups[rest], setting.validation_size, generator)
        return chosen, rest[held]
    listed = torch.empty(0, dtype=torch.long)
    if setting.paradigm == "index":
        listed = _listed(setting, total)
    check_listed(len(listed), size)
    others = splits.complement(total, listed)
    drawn = others[splits.stratified_sample(labels[others], size - len(listed), generator)]
    chosen = torch.cat([listed, drawn]).sort().values
    rest = splits.complement(total, chosen)
    held = splits.stratified_sample(labels[rest], setting.validation_size, generator)
    return chosen, rest[held]


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
        return splits.class_split(train.labels, setting.forgotten_class, train.num_classes)
    if setting.paradigm == "index":
        rows = torch.arange(len(train)) if rows is None else rows
        index = read_index(str(setting.index_file))
        return splits.index_split(len(train), torch.isin(rows, index).nonzero().flatten())
    if setting.paradigm == "group" and train.groups is not None:
        if setting.group_fraction is not None:
            generator = stream(seed, "split")
            return splits.group_share_split(train.groups, setting.group_fraction, generator)
        number = splits.find_group(str(setting.forgotten_group), train.group_names)
        _check_share(f"forgotten_group: {train.group_names[number]}", train.groups == number)
        return splits.group_split(train.groups, number, train.group_names[number])
    return splits.random_split(train.labels, setting.fraction, stream(seed, "split"))


def _check_share(what: str, held: Tensor) -> None:
    if bool(held.all()) or not bool(held.any()):
        raise DataError(f"{what} holds {'all' if bool(held.any()) else 'none'} of D_tr")


def make_model(setting: Setting, train: NamedSamples) -> nn.Module:
    """The setting's backbone with fresh weights."""
    return models.build(
        setting.model,
        num_classes=train.num_classes,
        input_shape=train.input_shape,
        vocabulary=train.vocabulary,
    )


def judged_set(setting: Setting, loaded: Data, judge: Judge) -> NamedSamples:
    """The test or validation set; without the forgotten class in class-wise forgetting."""
    chosen = loaded.test if judge == "test" else loaded.validation
    if len(chosen) == 0:
        raise DataError("validation_size: a search needs validation samples; found 0")
    if setting.paradigm == "class-wise":
        return chosen.take(splits.without_class(chosen.labels, setting.forgotten_class))
    return chosen


def model_key(
    setting: Setting,
    loaded: Data,
    seed: int,
    kind: str,
    execution: Execution | None = None,
) -> str:
    """The name under which an original or retrained model is stored.

    An original model does not know what will be forgotten, unless D_tr was drawn with regard to
    it.
    """
    identity = setting.identity()
    if kind == "original":
        part = setting.train_size is not None or setting.validation_size > 0
        if part and setting.group_fraction is not None:
            identity["subset"] = "whole groups"
        if part and setting.paradigm == "index":
            identity["subset"] = setting.index_sha256
        for field in ("paradigm", *(name for names in FORGET_FIELDS.values() for name in names)):
            identity.pop(field, None)
    switches = execution.identity() if execution else {}
    return f"{kind}-{digest([identity, loaded.checksum, seed, *([switches] if switches else [])])}"


def original_state(
    setting: Setting,
    loaded: Data,
    seed: int,
    store: Store,
    execution: Execution,
    progress: Progress = silent,
) -> dict[str, torch.Tensor]:
    """Weights of the original model of a seed: from the store, or trained and stored."""
    key = model_key(setting, loaded, seed, "original", execution)
    stored = load_state(store, key)
    if stored is not None:
        return stored[0]
    generator = stream(seed, "original")
    with models.seeded(generator):
        model = make_model(setting, loaded.train)
    model.to(execution.resolve())
    config = setting.training
    plan, steps = one_set_plan(loaded.train, config, generator)

    def report(epoch: int, loss: float) -> None:
        progress(f"original, seed {seed}: epoch {epoch}/{config.epochs}, loss {loss:.3f}")

    unfinished = f"{key}-partial"
    with models.seeded(generator):
        train(
            model,
            plan,
            steps,
            cross_entropy,
            config,
            execution,
            on_epoch=report,
            checkpoint=keep_checkpoint(store, unfinished, [generator]),
        )
    state = {name: value.cpu() for name, value in model.state_dict().items()}
    save_state(store, key, state, {"setting": setting.identity(), "seed": seed})
    drop_state(store, unfinished)
    return state


def make_problem(
    setting: Setting,
    loaded: Data,
    seed: int,
    store: Store,
    execution: Execution,
    progress: Progress = silent,
) -> Problem:
    """The unlearning problem of a seed; trains the original model if the store has none."""
    state = original_state(setting, loaded, seed, store, execution, progress)
    split = make_split(setting, loaded.train, seed, loaded.rows)
    return Problem(
        make_model=lambda: make_model(setting, loaded.train),
        trained_state=state,
        retain=loaded.train.take(split.retain),
        forget=loaded.train.take(split.forget),
        execution=execution,
    )

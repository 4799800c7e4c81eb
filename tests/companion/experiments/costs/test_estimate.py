"""Reckoned passes, FLOPs, memory and runs against what runs really take."""

import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from benches import UNUSED, bench_of
from companion import backbones
from companion.backbones import ModelSpec
from companion.cli import estimate
from companion.experiments import data
from companion.experiments.costs import calibration
from companion.experiments.costs.calibration import calibrate
from companion.experiments.costs.estimate import (
    Speed,
    costs,
    missing_runs,
    peak_bytes,
    total_flops,
    total_seconds,
)
from companion.experiments.costs.footprint import example, footprint, saved_bytes
from companion.experiments.costs.sizes import (
    is_absent,
    known_sizes,
    loaded_sizes,
    with_fresh_weights,
)
from companion.experiments.data.sources import SOURCES
from companion.experiments.records.store import open_store
from companion.experiments.runs.problems import load_data
from companion.experiments.settings import preset
from companion.experiments.settings.preset import SCALES
from companion.experiments.settings.setting import Setting
from companion.theory.cost import peak_bytes as measured_peak
from companion.theory.cost import training_flops
from pictures import write_parts
from toys import CPU, METHODS, K, problem, small_config, unlearned
from ugradsl_core.config import Config
from ugradsl_core.errors import ConfigError, DataError
from ugradsl_core.methods import Passes, make_config, passes
from ugradsl_core.training import Execution, SGDConfig, World

Cli = Callable[..., tuple[int, str, str]]

VARIANTS: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in METHODS if name != "iu"),
    ("iu", {"max_iterations": 2, "damping": 1e-6, "tolerance": 1e-9}),
    ("iu", {"variant": "upstream", "samples": 5}),
    ("ff", {"samples": 5}),
    ("rl", {"variant": "shuffled"}),
    ("salun", {"order": "shuffled"}),
    ("scrub", {"alpha": 0.0, "epochs": 3, "forget_batch_size": 4}),
    ("scrub", {"variant": "joint", "msteps": 1, "forget_batch_size": 3}),
    ("scrub", {"msteps": 0}),
    ("pabi", {"c0": 0.1, "epochs": 1}),
    ("ft", {"epochs": 0}),
    ("neggrad+", {"p": 0.0}),
    ("neggrad+", {"p": 1.0}),
    ("ugradsl", {"alpha": None, "p": 0.0}),
    ("ugradsl", {"epoch_count": "E-1"}),
    ("ugradsl+", {"p": 1.0}),
]


@pytest.mark.parametrize(("n_r", "n_f"), [(27, 9), (24, 5)])
@pytest.mark.parametrize(("name", "changes"), VARIANTS)
def test_reckoned_passes_are_those_of_a_run(
    name: str, changes: dict[str, Any], n_r: int, n_f: int
) -> None:
    """27 and 9 in batches of 8 leave last batches of 3, and of 1, which joins another."""
    subject = problem("cnn", n_r, n_f)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # conjugate gradients that are stopped say so
        result = unlearned(name, subject, **changes)
    found = passes(small_config(name, **changes), n_r, n_f, K)
    assert (found.steps, found.forward, found.backward) == (
        result.steps, result.forward_samples, result.backward_samples
    )  # fmt: skip
    assert found.at_most is (name == "iu" and "variant" not in changes)


def test_a_bound_is_not_exceeded_where_iterations_converge() -> None:
    subject = problem("cnn", 27, 9)
    result = unlearned("iu", subject, damping=1e3)
    found = passes(small_config("iu", damping=1e3), 27, 9, K)
    assert result.forward_samples < found.forward
    assert result.backward_samples < found.backward


def test_configs_of_no_method_have_no_passes() -> None:
    class Other(Config):
        pass

    with pytest.raises(ConfigError, match="Other is of no known method"):
        passes(Other(), 1, 1, 2)


@given(n=st.integers(1, 40), batch=st.integers(1, 12), epochs=st.integers(0, 3))
def test_alive_samples_are_the_largest_batch(n: int, batch: int, epochs: int) -> None:
    found = passes(SGDConfig(epochs=epochs, batch_size=batch), n, 1, K)
    assert found.forward == epochs * n
    assert found.alive == min(n, batch + (n > batch > 1 and n % batch == 1))


def saved_by(model: nn.Module, inputs: torch.Tensor) -> int:
    with saved_bytes(model) as saved:
        outputs = model(inputs)
    del outputs
    return sum(saved.values())


def test_what_is_saved_for_the_backward_pass_by_hand() -> None:
    """The input of the layer with weights, and the output of the ReLU: 3 + 4 numbers each."""
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    assert saved_by(model, torch.ones(5, 3)) == 5 * (3 + 4) * 4
    model[0].requires_grad_(False)
    assert saved_by(model, torch.ones(5, 3)) == 5 * 4 * 4


@pytest.mark.parametrize(
    ("spec", "shape", "vocabulary"),
    [
        (ModelSpec(name="resnet18", width=4), (3, 16, 16), None),
        (ModelSpec(name="vgg16", width=2), (3, 32, 32), None),
        (ModelSpec(name="vit", width=16, depth=2, heads=2, patch_size=8), (3, 16, 16), None),
        (ModelSpec(name="bert", width=16, depth=2, heads=2), (12,), 50),
    ],
)
def test_a_footprint_is_that_of_the_model(
    spec: ModelSpec, shape: tuple[int, ...], vocabulary: int | None
) -> None:
    found = footprint(spec, 7, shape, vocabulary)
    model = backbones.build(spec, num_classes=7, input_shape=shape, vocabulary=vocabulary)
    assert found.parameters == found.trained == sum(p.numel() for p in model.parameters())
    inputs = example(shape, vocabulary, 3, "cpu")
    counted, reckoned = training_flops(model, inputs), 3 * (found.forward + found.backward)
    if spec.name in {"vit", "bert"}:  # PyTorch counts no fused attention
        assert counted <= reckoned < 1.2 * counted
    else:
        assert counted == reckoned
    saved = saved_by(model, inputs) / 3
    assert saved <= 1.05 * found.saved  # fused attention keeps less
    assert found.saved < 1.5 * saved


def test_frozen_layers_cost_no_backward_pass() -> None:
    spec = ModelSpec(name="resnet18", width=4)
    whole, last = (footprint(spec, 10, (3, 16, 16), layers=k) for k in (None, 1))
    assert last.parameters == whole.parameters
    assert last.trained == 10 * 32 + 10
    assert last.forward == whole.forward
    assert last.backward == 2 * 10 * 32  # the gradient of the last layer's weights
    assert last.saved < whole.saved / 10


def test_reckoned_memory_is_near_what_a_step_takes() -> None:
    """Activations, gradient and momentum of one step, as the CPU's allocator counts them."""
    spec, shape, n = ModelSpec(name="resnet18", width=8), (3, 32, 32), 32
    model = backbones.build(spec, num_classes=10, input_shape=shape)
    inputs, labels = example(shape, None, n, "cpu"), torch.zeros(n, dtype=torch.long)

    def step() -> None:
        optimiser = torch.optim.SGD(model.parameters(), lr=1e-6, momentum=0.9)
        optimiser.zero_grad(set_to_none=True)
        nn.functional.cross_entropy(model(inputs), labels).backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    cost = footprint(spec, 10, shape)
    run = Passes(1, n, n, alive=n)
    sizes = known_sizes(Setting(dataset="cifar10"))
    reckoned = peak_bytes(run, cost, sizes, CPU)
    reckoned -= sizes.stored + 4 * cost.parameters + inputs.nbytes  # were there before
    assert reckoned == pytest.approx(measured_peak(step), rel=0.25)


def test_memory_by_hand() -> None:
    from companion.experiments.costs.footprint import Footprint

    cost, sizes = Footprint(10, 6, 1, 2, saved=100), known_sizes(Setting())
    run = Passes(1, 8, 8, alive=8, copies=0.5)
    each = 4 * 64
    expected = 4 * (10 * 1.5 + 2 * 6) + 8 * 100 + 8 * each + sizes.stored
    assert peak_bytes(run, cost, sizes, CPU) == expected
    cut = Execution(accumulate=4)
    assert peak_bytes(run, cost, sizes, cut) == expected - 6 * 100
    two = Execution(world=World(0, 2))
    assert peak_bytes(run, cost, sizes, two) == expected - 4 * 100 + 4 * 6


SMALL = {"train_size": 60, "validation_size": 20, "model": {"width": 2}}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"train_size": None},
        {"fraction": 0.3},
        {
            "dataset": "digits-parity",
            "paradigm": "group",
            "group_fraction": 0.2,
            "train_size": None,
            "validation_size": 0,
        },
    ],
)
def test_known_sizes_are_near_those_of_the_data(changes: dict[str, Any]) -> None:
    setting = Setting(**{**SMALL, **changes})
    loaded = load_data(setting, CPU)
    known, found = known_sizes(setting), loaded_sizes(bench_of(setting, loaded))
    whole = found.retain + found.forget
    assert abs(known.retain + known.forget - whole) <= (20 if "paradigm" in changes else 0)
    assert abs(known.forget - found.forget) <= (20 if "paradigm" in changes else 0)
    for name in ("judged", "classes", "shape", "vocabulary", "stored"):
        assert getattr(known, name) == getattr(found, name)


@pytest.mark.parametrize("scale", SCALES)
def test_every_preset_can_be_reckoned_without_its_data(scale: str) -> None:
    for name in preset.load_presets(scale):
        sizes = known_sizes(preset.preset_setting(name, scale))
        assert sizes.retain > sizes.forget * 0.9 > 0


def test_sizes_that_nobody_knows_are_refused(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    with pytest.raises(DataError, match="its size is known only from the data"):
        known_sizes(Setting(dataset=f"folder:{tmp_path}"))


UNKNOWN: list[tuple[dict[str, Any], str]] = [
    ({"dataset": "cifar10", "paradigm": "class-wise", "forgotten_class": 20}, "in 0…9; found 20"),
    ({"dataset": "cifar10", "train_size": 60_000}, "should be at most 50000, the training images"),
    ({"dataset": "cifar10", "fraction": 1e-6}, "fraction: 1e-06 of 50000 samples leaves D_f or D"),
    (
        {"dataset": "cifar20", "paradigm": "group", "forgotten_group": "carp"},
        "unknown forgotten_group 'carp'",
    ),
    ({"dataset": "cifar20", "paradigm": "group", "forgotten_group": 100}, "should lie in 0…99"),
    ({"dataset": "svhn", "paradigm": "group", "group_fraction": 0.1}, "svhn has no groups"),
    (
        {"dataset": "20newsgroups", "paradigm": "group", "group_fraction": 0.01},
        "group_fraction: 0.01 of the groups leaves D_f or D_r empty",
    ),
    (
        {"dataset": "celeba", "paradigm": "group", "forgotten_group": "7"},
        "celeba: the size of its groups is not known",
    ),
]


@pytest.mark.parametrize(("values", "message"), UNKNOWN)
def test_what_a_data_set_does_not_have_is_refused_without_it(
    values: dict[str, Any], message: str
) -> None:
    with pytest.raises((ConfigError, DataError), match=message):
        known_sizes(Setting(**values))


def test_listed_samples_are_checked_without_the_data(tmp_path: Path) -> None:
    listed = tmp_path / "mine.txt"
    for text, message in (
        ("0 50000", "should hold indices below 50000"),
        ("0 1 2", "and D_tr has"),
    ):
        listed.write_text(text)
        values = {"dataset": "cifar10", "train_size": 3, "paradigm": "index"}
        with pytest.raises(DataError, match=message):
            known_sizes(Setting(**values, index_file=str(listed)))


def test_groups_are_named_as_the_data_name_them() -> None:
    for name in ("digits-parity", "words"):
        assert tuple(data.load(name).train.group_names) == SOURCES[name].group_names


@pytest.mark.parametrize("name", data.DATASETS)
def test_data_are_absent_where_their_loader_finds_nothing(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(data.DATA_ROOT_VARIABLE, raising=False)
    if name in {"digits", "digits-parity", "words"}:
        assert not is_absent(name, None)
        return
    assert is_absent(name, None)
    assert is_absent(name, str(tmp_path))
    with pytest.raises(DataError):
        data.load(name, tmp_path)
    with pytest.raises(DataError, match=r"the data root .* is not a directory"):
        is_absent(name, str(tmp_path / "none"))
    for number, place in enumerate(SOURCES[name].places):
        root = tmp_path / str(number)
        found = root / place.replace("*", "x")
        found.parent.mkdir(parents=True)
        if found.suffix:
            found.write_bytes(b"damaged, which is not the same as absent")
        else:
            found.mkdir()
        monkeypatch.setenv(data.DATA_ROOT_VARIABLE, str(root))
        assert not is_absent(name, None)
        with pytest.raises(DataError):
            data.load(name)


CONFIGS = {name: small_config(name) for name in ("retrain", "ft", "ff")}


def test_time_is_passes_times_speed_and_the_whole_is_the_sum() -> None:
    setting = Setting(**SMALL, training={"epochs": 2, "batch_size": 16})
    sizes = known_sizes(setting)
    speed = Speed(forward=1.0, backward=2.0, evaluate=0.5, fisher=7.0)
    rows = {r.label: r for r in costs(setting, CONFIGS, sizes, CPU, speed=speed)}
    n_r, n_f = sizes.retain, sizes.forget
    assert list(rows) == ["original", "retrain", "ft", "ff", "evaluation"]
    assert rows["original"].seconds == 3 * 2 * (n_r + n_f)
    assert rows["ft"].seconds == 3 * 2 * n_r
    assert rows["ff"].seconds == 7 * n_r
    assert rows["evaluation"].seconds == 0.5 * (n_r + n_f + sizes.judged)
    assert rows["evaluation"].runs == 3
    listed = list(rows.values())
    assert total_seconds(listed) == sum(r.seconds * r.runs for r in listed)
    assert total_flops(listed) == sum(r.flops * r.runs for r in listed)
    two = costs(setting, CONFIGS, sizes, Execution(world=World(0, 2)), speed=speed)
    assert two[2].seconds == rows["ft"].seconds / 2
    assert total_seconds(costs(setting, CONFIGS, sizes, CPU)) is None


def test_a_calibration_is_short_and_leaves_the_random_state_alone() -> None:
    setting = Setting(**SMALL, training={"batch_size": 16})
    state, heard = torch.get_rng_state(), []
    speed = calibrate(
        setting, known_sizes(setting), CPU, budget=0.5, fisher=True, progress=heard.append
    )
    assert torch.equal(state, torch.get_rng_state())
    assert min(speed.forward, speed.backward, speed.evaluate, speed.fisher or 0) > 0
    assert heard[0] == "a first step of 4 samples"
    assert heard[-1] == "the Fisher of one sample"


def test_the_fisher_of_many_classes_is_reckoned_from_a_few(monkeypatch: Any) -> None:
    setting = Setting(**SMALL, training={"batch_size": 4})
    asked: list[int] = []

    def spy(total: Any, model: Any, parameters: Any, sample: Any, most: int) -> int:
        asked.append(most)
        time.sleep(0.01)
        return 2

    monkeypatch.setattr(calibration, "add_fisher", spy)
    found = calibrate(setting, known_sizes(setting), CPU, budget=0.1, fisher=True).fisher
    assert set(asked) == {calibration.FISHER_CLASSES}
    assert found is not None
    assert found >= 0.01 * 10 / 2  # digits have ten classes


EXPERIMENT = [
    "digits-random10", "--methods", "retrain,ft", "--device", "cpu", "-p", "train_size", "60",
    "-p", "training.epochs=1", "-p", "ft.epochs=1", "-p", "model.width", "2",
]  # fmt: skip


def reckoned(cli: Cli, *arguments: object) -> dict[str, Any]:
    code, out, err = cli("estimate", *arguments, "--json", "--no-calibrate")
    assert code == 0, err
    found: dict[str, Any] = json.loads(out)
    return found


def test_the_estimate_is_what_the_experiment_takes(cli: Cli, tmp_path: Path) -> None:
    """And nothing remains of it afterwards; another seed is still to be done."""
    store = tmp_path / "store"
    before = reckoned(cli, *EXPERIMENT, "--store", store)
    assert not store.exists()
    published = tmp_path / "records.jsonl"
    assert cli("experiment", *EXPERIMENT, "--store", store, "--publish", published)[0] == 0
    rows = {row["label"]: row for row in before["rows"]}
    for line in published.read_text("utf-8").splitlines():
        record = json.loads(line)
        row = rows[record["method"]]
        for name in ("steps", "forward_samples", "backward_samples"):
            assert row[name] == record[name]
    assert before["sizes"]["from_data"]
    assert [row["runs"] for row in before["rows"]] == [1, 1, 1, 2]
    after = reckoned(cli, *EXPERIMENT, "--store", store)
    assert [row["runs"] for row in after["rows"]] == [0, 0, 0, 0]
    assert after["total"]["flops"] == 0
    more = reckoned(cli, *EXPERIMENT, "--store", store, "--seeds", "0,1")
    assert [row["runs"] for row in more["rows"]] == [1, 1, 1, 2]
    for path in store.glob("records/*.json"):
        path.unlink()
    again = reckoned(cli, *EXPERIMENT, "--store", store)
    assert [row["runs"] for row in again["rows"]] == [0, 0, 1, 2]  # both models are kept


def test_switches_ask_for_other_runs(tmp_path: Path) -> None:
    setting = Setting(**SMALL)
    loaded, store = load_data(setting, CPU), open_store(tmp_path / "store")
    for seen in (UNUSED, store):
        runs = missing_runs(bench_of(setting, loaded, seen), CONFIGS, [0, 1])
        assert runs == {"original": 2, "retrain": 2, "ft": 2, "ff": 2, "evaluation": 6}


def test_imagenet_is_reckoned_without_imagenet(cli: Cli, monkeypatch: Any) -> None:
    monkeypatch.delenv("UGRADSL_DATA", raising=False)
    arguments = ["imagenet-class", "--scale", "paper", "--methods", "retrain,ugradsl"]
    found = reckoned(cli, *arguments)
    assert found["sizes"]["retain"] + found["sizes"]["forget"] == 1_281_167
    assert not found["sizes"]["from_data"]
    assert found["total"]["seconds"] is None
    code, out, _ = cli("estimate", *arguments, "--no-calibrate")
    assert code == 0
    assert "data not read, store not looked at" in out
    assert "GiB" in out


def test_folders_are_read_where_they_are(cli: Cli, tmp_path: Path) -> None:
    """Sizes are those of the images that are there, and not of the whole data set."""
    folder = tmp_path / "tiny-imagenet-200"
    write_parts(folder, {"n01": 30, "n02": 20, "n03": 20}, {"n01": 3, "n02": 3, "n03": 3}, "val")
    tiny = [
        "tiny-imagenet-class", "--scale", "bench", "--data-root", tmp_path, "--methods", "ft",
        "-p", "train_size", "60", "-p", "validation_size", "10", "-p", "image_size", "8",
    ]  # fmt: skip
    sizes = reckoned(cli, *tiny)["sizes"]
    assert sizes["from_data"]
    assert (sizes["forget"], sizes["judged"], sizes["classes"]) == (26, 6, 3)
    (folder / "train" / "n01" / "000.png").write_bytes(b"no picture")
    own = ["digits-random10", "-p", "dataset", f"folder:{folder}"]
    for arguments in (tiny, own):
        code, out, err = cli("estimate", *arguments, "--no-calibrate")
        assert (code, out) == (2, "")
        assert "000.png" in err
        assert "cannot be read" in err
        assert "known only from the data" not in err


def test_a_smaller_pretrained_model_is_reckoned_at_its_own_size(cli: Cli, tmp_path: Path) -> None:
    spec = ModelSpec(name="bert", width=32, depth=3, heads=4)
    backbones.build(spec, num_classes=4, input_shape=(12,), vocabulary=400).inner.save_pretrained(
        tmp_path
    )
    setting = Setting(dataset="words", model={"name": "bert", "pretrained": str(tmp_path)})
    fresh = with_fresh_weights(setting).model
    assert fresh.pretrained is None
    assert (fresh.width, fresh.depth, fresh.heads, fresh.dropout) == (32, 3, 4, 0.1)
    rows = costs(setting.replace(model=fresh.model_dump()), {}, known_sizes(setting), CPU)
    assert rows[0].parameters == footprint(spec, 4, (12,), known_sizes(setting).vocabulary).trained
    arguments = ["words-class", "--methods", "ft", "-p", f"model.pretrained={tmp_path}"]
    read = data.load("words").train
    expected = footprint(spec, 4, (12,), read.vocabulary).parameters
    assert reckoned(cli, *arguments)["rows"][0]["trained_parameters"] == expected


def test_weights_that_are_not_fetched_yet_are_reckoned_at_full_size(cli: Cli) -> None:
    arguments = ["words-class", "--methods", "ft", "--json", "--no-calibrate"]
    code, out, err = cli("estimate", *arguments, "-p", "model.pretrained", "nobody/nothing")
    assert code == 0, err
    assert "nobody/nothing: not in this machine's Hugging Face cache yet; counted as" in err
    whole = footprint(ModelSpec(name="bert"), 4, (12,), data.load("words").train.vocabulary)
    assert json.loads(out)["rows"][0]["trained_parameters"] == whole.parameters


def test_nothing_to_do_is_no_operations(cli: Cli, tmp_path: Path) -> None:
    assert cli("experiment", *EXPERIMENT, "--store", tmp_path / "store")[0] == 0
    out = cli("estimate", *EXPERIMENT, "--store", tmp_path / "store", "--no-calibrate")[1]
    assert "Together, what is not in the store: 0 FLOP.\n" in out


def test_a_table_with_times(cli: Cli, tmp_path: Path) -> None:
    code, out, err = cli("estimate", *EXPERIMENT, "--store", tmp_path / "none")
    assert code == 0
    assert "on this machine" in out
    assert "Calibration" in err
    assert not list(tmp_path.iterdir())


def test_a_long_experiment_says_so_first(cli: Cli, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(estimate, "LONG_FLOPS", 0)
    monkeypatch.setattr(estimate, "LONG_SECONDS", 0)
    run = ["experiment", *EXPERIMENT, "--store", tmp_path / "store"]
    code, _, err = cli(*run)
    assert code == 0
    assert "on this machine for 3 runs; it stops and resumes" in err
    assert "on this machine" not in cli(*run)[2]  # nothing is left to do


def test_a_search_counts_its_trials(capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(estimate, "LONG_FLOPS", 0)
    monkeypatch.setattr(estimate, "LONG_SECONDS", 0)
    setting = Setting(**SMALL)
    designs = {label: [make_config(label, lr=lr) for lr in (0.1, 0.2)] for label in ("ft", "ga")}
    estimate.announce_search(bench_of(setting, load_data(setting, CPU)), designs)
    # the original and the retrained model of three seeds, and 2 + 2 · 2 trials of each method
    assert "for 18 runs" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(3.2, "3 s"), (89, "89 s"), (600, "10 min"), (7300, "2 h 2 min"), (500_000, "6 days")],
)
def test_durations_in_words(seconds: float, text: str) -> None:
    assert estimate.in_words(seconds) == text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["digits-clas"], "Did you mean 'digits-class'"),
        (["digits-random10", "--methods", "ftt"], "Did you mean 'ft'"),
        (["digits-random10", "--seeds", "x"], "seeds: should be whole numbers"),
        (["digits-random10", "-p", "fraction", "2"], "fraction: should be less than 1"),
        (["digits-random10", "--device", "nonsense"], "device: 'nonsense' cannot be used here"),
        (
            ["digits-random10", "--methods", "ft", "--accumulate", "1000"],
            "accumulate: should be at",
        ),
        (
            ["digits-random10", "--methods", "ugradsl:adaptive", "--accumulate", "2"],
            "accumulate: UGradSL cannot be cut into micro-batches",
        ),
        (
            ["imagenet-class", "--scale", "paper", "--methods", "ft", "--accumulate", "5000"],
            "accumulate: should be at most",
        ),
        (
            ["imagenet-class", "--scale", "paper", "-p", "forgotten_class", "1000"],
            "forgotten_class: should lie in 0…999; found 1000",
        ),
        (
            ["imagenet-class", "--scale", "paper", "-p", "model.name", "bert"],
            "model: bert needs token ids",
        ),
    ],
)
def test_mistakes_are_one_line(cli: Cli, arguments: list[str], message: str) -> None:
    code, out, err = cli("estimate", *arguments, "--no-calibrate")
    assert (code, out) == (2, "")
    assert message in err.strip().splitlines()[-1]


def test_a_users_own_model_is_reckoned_on_the_cpu(tmp_path: Path, monkeypatch: Any) -> None:
    """It may read values, which tensors on the meta device do not have."""
    (tmp_path / "mine.py").write_text(
        "import torch\n"
        "class Mine(torch.nn.Module):\n"
        "    def __init__(self, k):\n"
        "        super().__init__()\n"
        "        self.head = torch.nn.Linear(64, k)\n"
        "    def forward(self, x):\n"
        "        assert float(x.abs().max()) > 0\n"
        "        return self.head(x.flatten(1))\n"
        "def make(num_classes, **_):\n"
        "    return Mine(num_classes)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    state = torch.get_rng_state()
    found = footprint(ModelSpec(name="mine:make"), 10, (1, 8, 8))
    assert found.parameters == 650
    assert found.forward == 2 * 640
    assert torch.equal(state, torch.get_rng_state())

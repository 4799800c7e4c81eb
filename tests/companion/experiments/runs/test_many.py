"""Many models of one small task: splits, shared originals, and what differs between seeds."""

from pathlib import Path

import pytest
import torch

from companion.experiments.data.images import NamedSamples
from companion.experiments.runs import many
from companion.theory.populations import linear_cka, margins
from ugradsl_core.errors import ConfigError
from ugradsl_core.samples import StateDict
from ugradsl_core.training.progress import SILENT


@pytest.fixture(scope="module")
def task() -> many.Task:
    return many.digits_task(100, 0.1, 8, 0)


@pytest.fixture(scope="module")
def states(task: many.Task) -> dict[str, list[StateDict]]:
    return many.populations(task, {"ga": 0.01, "neggrad+:forget": 0.01}, 2, SILENT)


def test_the_sets_are_disjoint_and_cover(task: many.Task) -> None:
    def inputs(samples: NamedSamples) -> set[bytes]:
        ((values, _),) = samples.batches([torch.arange(len(samples))])
        return {value.numpy().tobytes() for value in values}

    assert (len(task.retain), len(task.forget), len(task.training)) == (90, 10, 100)
    retain, forget = inputs(task.retain), inputs(task.forget)
    assert not retain & forget
    assert retain | forget == inputs(task.training)
    assert not inputs(task.validation) & inputs(task.training)


def test_seeds_and_kinds_give_different_models_and_the_same_seed_the_same(
    task: many.Task, states: dict[str, list[StateDict]]
) -> None:
    assert {len(own) for own in states.values()} == {2}
    weights = [state["1.weight"] for own in states.values() for state in own]
    assert len({w.numpy().tobytes() for w in weights}) == len(weights)
    again = many.scratch(task, 1, "retrain")
    for name, value in states["retrain"][1].items():
        assert torch.equal(value, again[name])


def test_retrained_models_do_not_see_what_is_forgotten(task: many.Task) -> None:
    """They are the same whatever D_f holds, as long as D_r is the same."""
    other = many.Task(
        task.retain, task.test, task.training, task.validation, task.test, 8, task.config
    )
    first, second = (many.scratch(t, 3, "retrain") for t in (task, other))
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_outputs_have_a_row_for_each_model_and_sample(
    task: many.Task, states: dict[str, list[StateDict]]
) -> None:
    logits = many.logits_of(task, states["original"], task.forget)
    assert logits.shape == (2, 10, 10)
    # trained on D_f: the mean margin of the originals is above that of the retrained models
    seen, unseen = (
        sum(
            float(margins(z, task.forget.labels).mean())
            for z in many.logits_of(task, own, task.forget)
        )
        for own in (states["original"], states["retrain"])
    )
    assert seen > unseen
    features = many.features_of(task, states["original"][0], task.forget)
    assert [tuple(value.shape) for value in features.values()] == [(10, 8), (10, 8), (10, 10)]
    torch.testing.assert_close(features["logits"], logits[0])
    assert linear_cka(features["logits"], logits[0]) == pytest.approx(1)


def test_relearning_begins_at_the_loss_on_the_forget_set_and_falls(
    task: many.Task, states: dict[str, list[StateDict]]
) -> None:
    state = states["retrain"][0]
    losses = many.relearning_losses(task, state, 0.1, 30)
    logits = many.logits_of(task, [state], task.forget)[0]
    expected = torch.nn.functional.cross_entropy(logits, task.forget.labels)
    assert losses[0] == pytest.approx(float(expected), rel=1e-5)
    assert len(losses) == 30
    assert losses[-1] < losses[0]


def test_the_chosen_rate_is_not_the_one_that_ruins_the_model(task: many.Task) -> None:
    assert many.chosen_rate(task, "ga", (0.001, 5.0)) == 0.001


def test_methods_without_a_learning_rate_are_refused() -> None:
    with pytest.raises(ConfigError, match="iu: has no learning rate"):
        many.config_of("iu", 0.1)
    with pytest.raises(ConfigError, match="retrain:again: has no learning rate"):
        many.config_of("retrain:again", 0.1)
    with pytest.raises(ConfigError, match="ugradsl"):
        many.config_of("ugradls", 0.1)


def test_a_method_of_ones_own_is_run_like_the_others(
    task: many.Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine_of_many.py").write_text(
        "from ugradsl_core.methods import METHODS, UnlearnConfig\n"
        "def tune(problem, config: UnlearnConfig, *, generator):\n"
        "    ft = METHODS['ft']\n"
        "    return ft(problem, ft.config(**config.model_dump()), generator=generator)\n"
        "def odd(problem):\n"
        "    return None\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    original = many.scratch(task, 0, "original")
    own, ft = (
        many.unlearned(task, label, 0.01, original, 0) for label in ("mine_of_many:tune", "ft")
    )
    assert all(torch.equal(value, own[name]) for name, value in ft.items())
    with pytest.raises(ConfigError, match=r"mine_of_many:odd should take \(problem, config"):
        many.config_of("mine_of_many:odd", 0.1)

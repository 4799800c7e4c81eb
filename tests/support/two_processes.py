"""What ``test_processes.py`` runs under torchrun, and in one process to compare with."""

import sys
import tempfile
from pathlib import Path

import torch

from benches import bench_of
from companion.experiments.records.store import load_state, open_store, save_state
from companion.experiments.runs.problems import load_data
from companion.experiments.runs.run import evaluate_state
from companion.experiments.settings.preset import preset_setting
from toys import METHODS, problem, replaced, unlearned
from ugradsl_core.errors import ConfigError, StoreError
from ugradsl_core.methods import make_config
from ugradsl_core.training import Execution, World, predict
from ugradsl_core.training.processes import join, other_noise

VARIANTS = {
    "ugradsl, adaptive": ("ugradsl", {"alpha": None}),
    "ugradsl, joint": ("ugradsl", {"bn_mode": "joint"}),
    "ugradsl, frozen": ("ugradsl", {"bn_mode": "frozen"}),
    "ugradsl, sum": ("ugradsl", {"reduction": "sum", "lr": 1e-3}),
    "scrub, joint": ("scrub", {"variant": "joint", "alpha": 0.1}),
}
SPREAD = {name: (name, {}) for name in METHODS if not METHODS[name].alone} | VARIANTS


def results(world: World) -> dict[str, dict[str, torch.Tensor]]:
    """Weights and losses of every method with BatchNorm, augmentation and odd batches."""
    found = {}
    execution = Execution("cpu", world=world)
    subject = replaced(problem("cnn", 27, 9, augmentable=True), execution=execution)
    for label, (name, changes) in SPREAD.items():
        result = unlearned(name, subject, **changes)
        counts = result.steps, result.forward_samples, result.backward_samples
        found[label] = {
            **result.state_dict,
            "losses": torch.tensor(result.losses),
            "counts": torch.tensor(counts),
        }
    found["ResNet-18"] = few_steps(world)
    model = subject.trained_model()
    seen = predict(model, subject.retain, execution, batch_size=13)  # 26, and one left over
    found["predictions"] = {"logits": seen.logits, "labels": seen.labels}
    report = evaluate_state(subject, subject.trained_state, subject.forget).as_dict()
    plain = {name: value for name, value in report.items() if not isinstance(value, dict)}
    found["evaluation"] = {name: torch.tensor(float(value)) for name, value in plain.items()}
    return found


def few_steps(world: World) -> dict[str, torch.Tensor]:
    """Losses and weights of a preset's network after steps in which rounding does not grow."""
    setting = preset_setting("digits-random10", "smoke").replace(train_size=99, validation_size=0)
    execution = Execution("cpu", world=world)
    loaded = load_data(setting, execution)
    folder = Path(tempfile.mkdtemp()) if world.is_first else None
    store = open_store(world.from_first(lambda: str(folder)), world)
    subject = bench_of(setting.replace(training={"epochs": 0}), loaded, store, execution).problem(0)
    found = {}
    for name, changes in (("retrain", {}), ("ugradsl", {"alpha": -0.4, "p": 0.9})):
        config = make_config(name, lr=1e-3, epochs=2, batch_size=32, **changes)
        result = METHODS[name](subject, config, generator=torch.Generator().manual_seed(0))
        found |= {f"{name} {key}": value for key, value in result.state_dict.items()}
        found[f"{name} losses"] = torch.tensor(result.losses)
    return found


def refusals(world: World) -> dict[str, str]:
    """What is said where several processes cannot work."""
    execution = Execution("cpu", world=world)
    cases = {
        "ff": ("cnn", 27, 9, {}),
        "iu": ("cnn", 27, 9, {}),
        "ga": ("cnn", 27, 1, {}),
        "ft": ("cnn", 27, 9, {"batch_size": 1}),
    }
    said = {}
    for name, (kind, n_r, n_f, changes) in cases.items():
        subject = replaced(problem(kind, n_r, n_f), execution=execution)
        try:
            unlearned(name, subject, **changes)
        except ConfigError as error:
            said[name] = str(error)
    return said


def main(target: str) -> None:
    """Write to ``target`` what the first process found."""
    torch.set_num_threads(1)
    world = join("cpu")
    folder = Path(target).parent / f"store-{world.size}"
    store = open_store(folder, world)
    missing = load_state(store, "model")
    save_state(store, "model", {"x": torch.tensor([1.0 + world.rank])}, {"seed": 0})
    kept = load_state(store, "model")
    assert missing is None
    assert kept is not None
    everyone = world.gather(kept[0]["x"], world.size)
    try:
        world.from_first(lambda: open_store(__file__))
    except StoreError as error:
        heard = str(error)
    other_noise(world, 5, 0)
    noise = world.gather(torch.rand(1, 2), world.size)
    found = {
        **results(world),
        "store": {"everyone": everyone},
        "noise": {"drawn": noise},
        "said": refusals(world) if world.size > 1 else {},
        "heard": heard,
    }
    if world.is_first:
        torch.save(found, target)
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1])

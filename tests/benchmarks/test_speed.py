"""Speed as ratios in one run: ``pytest tests/benchmarks -s``, on a machine that does nothing else.

The bare loops are what one would write by hand: normalised channels-last tensors in memory, the
same batches, the same fused SGD. Sizes come from the environment, see ``measure.size``.
"""

import subprocess
import sys
import time

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from companion.backbones import resnet18
from companion.experiments.data import Dataset
from companion.experiments.runs.run import evaluate_state
from measure import compare, seconds, size
from setting import BATCH, EXECUTION, PLACE, WIDTH, in_memory, network, pictures, sgd
from ugradsl_core.methods import METHODS, make_config
from ugradsl_core.methods.common import cross_entropy, one_set_plan
from ugradsl_core.methods.problem import Problem
from ugradsl_core.metrics import mia
from ugradsl_core.samples import Batch
from ugradsl_core.training import SGDConfig, predict, train


def test_a_training_epoch_costs_a_bare_loop() -> None:
    images = size("IMAGES", 2560) // BATCH * BATCH
    samples = pictures(images, 0)
    config = SGDConfig(lr=0.01, epochs=1, batch_size=BATCH)
    plan, steps = one_set_plan(samples, config, torch.Generator().manual_seed(0))
    ours, bare = network(), network()
    batches = in_memory(samples, BATCH)
    assert len(batches) == steps

    def epoch() -> None:
        train(ours, plan, steps, cross_entropy, config, EXECUTION)

    def bare_epoch() -> None:
        optimiser = sgd(bare, 0.01)
        bare.train()
        for inputs, labels in batches:
            optimiser.zero_grad(set_to_none=True)
            F.cross_entropy(bare(inputs), labels).backward()
            optimiser.step()

    compare("training epoch / bare loop", epoch, bare_epoch, 1.05)


@pytest.fixture(scope="module")
def problem() -> Problem:
    steps = max(size("IMAGES", 2560) // (2 * BATCH), 1)
    return Problem(
        make_model=lambda: resnet18(10, 3, WIDTH),
        trained_state=network().state_dict(),
        retain=pictures(4 * steps * BATCH, 1),
        forget=pictures(steps * BATCH, 2),
        execution=EXECUTION,
    )


def unlearn(problem: Problem, alpha: float | None) -> float:
    """Seconds of one epoch of UGradSL."""
    config = make_config("ugradsl", lr=0.001, epochs=1, batch_size=BATCH, alpha=alpha)
    generator = torch.Generator().manual_seed(0)
    return METHODS["ugradsl"](problem, config, generator=generator).seconds


def test_an_epoch_of_ugradsl_costs_a_bare_loop(problem: Problem) -> None:
    forget: list[Batch] = in_memory(problem.forget, BATCH)
    retain: list[Batch] = in_memory(problem.retain, BATCH, len(forget))

    def bare_epoch() -> float:
        model = network()
        optimiser = sgd(model, 0.001)
        model.train()
        start = time.perf_counter()
        for (inputs_r, labels_r), (inputs_f, labels_f) in zip(retain, forget, strict=True):
            optimiser.zero_grad(set_to_none=True)
            loss = 0.9 * F.cross_entropy(model(inputs_r), labels_r)
            loss = loss - 0.1 * F.cross_entropy(model(inputs_f), labels_f)
            loss.backward()
            optimiser.step()
        if PLACE.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    compare("UGradSL epoch / bare loop", lambda: unlearn(problem, -0.4), bare_epoch, 1.05)


def test_adaptive_rates_cost_little(problem: Problem) -> None:
    compare(
        "self-adaptive UGradSL / fixed rate",
        lambda: unlearn(problem, None),
        lambda: unlearn(problem, -0.4),
        1.10,
    )


def realistic(n_attack: int, n_forget: int) -> tuple[nn.Module, Dataset, Dataset, Dataset]:
    """A network and three sets with logits like those after training, without training.

    BatchNorm statistics are those of the pictures; the head is centred and scaled until the median
    margin is 6. Labels are the network's own answers for 99.5 % of D_r and 65 % of the others,
    which also have less contrast, so that members are more confident.
    """
    sets = [
        pictures(n_attack, 3, (0.6, 1.0)),
        pictures(n_forget, 4, (0.2, 1.0)),
        pictures(n_attack, 5, (0.2, 1.0)),
    ]
    model = network()
    with torch.no_grad():
        for inputs, _ in in_memory(sets[2], BATCH)[:4]:
            model.train()(inputs)
        model.eval()
        logits = torch.cat([model(x) for x, _ in in_memory(sets[2], BATCH)[:20]])
        top = (logits - logits.mean(0)).topk(2, dim=1).values
        scale = 6 / float((top[:, 0] - top[:, 1]).median())
        head = model.fc
        head.bias.copy_(scale * (head.bias - logits.mean(0)))
        head.weight.mul_(scale)
        g = torch.Generator().manual_seed(6)
        for samples, share in zip(sets, (0.995, 0.65, 0.65), strict=True):
            answers = torch.cat([model(x).argmax(1).cpu() for x, _ in in_memory(samples, 500)])
            kept = torch.rand(len(samples), generator=g) < share
            samples.all_labels[kept] = answers[: len(samples)][kept]
    return model, *sets


def test_evaluation_costs_its_forward_passes() -> None:
    model, retain, forget, test = realistic(size("ATTACK", 10_000), size("FORGET", 1_000))
    problem = Problem(
        make_model=lambda: resnet18(10, 3, WIDTH),
        trained_state=model.state_dict(),
        retain=retain,
        forget=forget,
        execution=EXECUTION,
    )
    inputs: list[Tensor] = []
    for samples in (retain, forget, test):
        plan = torch.arange(len(samples)).split(512)
        inputs += [x for x, _ in samples.batches(plan)]

    def evaluation() -> None:
        evaluate_state(problem, problem.trained_state, test)

    def passes() -> None:
        with torch.inference_mode():
            for x in inputs:
                model(x).cpu()

    report = evaluate_state(problem, problem.trained_state, test)
    print(f"\nUA {report.UA:.1f}, RA {report.RA:.1f}, TA {report.TA:.1f}, {dict(report.mia)}")
    assert report.RA > report.TA
    compare("evaluation / its forward passes", evaluation, passes, 1.3)


def test_the_attack_agrees_with_the_svc_at_full_size() -> None:
    """Minutes, as the SVC is what the fast attack replaces."""
    model, *sets = realistic(size("ATTACK", 10_000), size("FORGET", 1_000))
    outputs = [predict(model, samples, EXECUTION) for samples in sets]
    members, forget, nonmembers = ((o.logits, o.labels) for o in outputs)
    fast, slow = (
        mia(*members, *nonmembers, *forget, solver=solver) for solver in ("newton", "svc")
    )
    for name, value in slow.items():
        print(f"\n{name}: {fast[name]:.2f} against {value:.2f}")
        assert abs(fast[name] - value) <= 0.5, name


def test_importing_costs_torch_and_torchvision() -> None:
    def importing(what: str) -> None:
        subprocess.run([sys.executable, "-c", f"import {what}"], check=True)

    compare(
        "import ugradsl_core / import torch, torchvision",
        lambda: importing("ugradsl_core"),
        lambda: importing("torch, torchvision"),
        1.5,
    )


def test_the_clock_counts_what_a_call_reports() -> None:
    assert seconds(lambda: 3.0) == 3.0
    assert seconds(lambda: time.sleep(0.01)) >= 0.01

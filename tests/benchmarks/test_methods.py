"""Every method's wall time against its passes: ``pytest tests/benchmarks/test_methods.py -s``.

One table: with ``UGRADSL_BENCHMARK_JSON`` a line for each method, named ``method NAME``.
"""

import time
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bare import LOOPS, LR
from companion.backbones import resnet18
from measure import compare, size
from setting import BATCH, EXECUTION, PLACE, WIDTH, in_memory, network, pictures
from ugradsl_core.methods import METHODS, make_config
from ugradsl_core.methods.ff import fisher_diagonal
from ugradsl_core.methods.pabi import noisy_steps
from ugradsl_core.methods.problem import Problem, UnlearnResult

LIMIT = 1.10
SAMPLES = {"ff": size("FF_SAMPLES", 16), "iu": size("IU_SAMPLES", 256)}
OPTIONS: dict[str, dict[str, Any]] = {
    "ff": {"samples": SAMPLES["ff"]},
    "iu": {"samples": SAMPLES["iu"], "damping": 1e4},  # few products; what is timed is one
    "scrub": {"epochs": 2, "msteps": 1, "forget_batch_size": BATCH},
    "pabi": {"c0": 0.04},
}
every_method = pytest.mark.parametrize("name", METHODS)


def make_problem(retain: int, forget: int) -> Problem:
    return Problem(
        make_model=lambda: resnet18(10, 3, WIDTH),
        trained_state=network().state_dict(),
        retain=pictures(retain, 1),
        forget=pictures(forget, 2),
        execution=EXECUTION,
    )


@pytest.fixture(scope="module")
def problem() -> Problem:
    """Few enough that all methods together take minutes."""
    return make_problem(size("RETAIN_BATCHES", 4) * BATCH, size("FORGET_BATCHES", 2) * BATCH)


def unlearn(name: str, problem: Problem) -> UnlearnResult:
    """One epoch, where the method has any."""
    fields = METHODS[name].config.model_fields
    plain = {"lr": LR, "epochs": 1, "batch_size": BATCH}
    chosen = {key: value for key, value in plain.items() if key in fields}
    config = make_config(name, **{**chosen, **OPTIONS.get(name, {})})
    return METHODS[name](problem, config, generator=torch.Generator().manual_seed(0))


def facts(name: str, problem: Problem, result: UnlearnResult) -> dict[str, Any]:
    """What a bare loop has to know of the run."""
    n = len(problem.retain) + len(problem.forget)
    samples = min(SAMPLES.get(name, n), len(problem.retain))
    return {
        **OPTIONS.get(name, {}),
        "samples": samples,
        "products": (result.forward_samples - n) // (2 * samples),
        "noisy_steps": noisy_steps(0.04, 10.0, 1e-3, 50.0),
        "over": "retain" if name == "ugradsl+" else "forget",
    }


@every_method
def test_a_method_costs_its_passes(name: str, problem: Problem) -> None:
    known = facts(name, problem, unlearn(name, problem))
    retain, forget = (in_memory(s, BATCH) for s in (problem.retain, problem.forget))

    def bare() -> float:
        models = network(), network()
        start = time.perf_counter()
        LOOPS[name](*models, retain, forget, known)
        if PLACE.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    compare(
        f"method {name}",
        lambda: unlearn(name, problem).seconds,
        bare,
        LIMIT,
        repeats=size("METHOD_REPEATS", 5),
    )


def test_ff_of_a_wide_network_and_many_classes_costs_its_passes() -> None:
    """Where the gradients of all classes together would fill the memory and take longer."""
    width, classes, samples = size("WIDE_WIDTH", 32), size("WIDE_CLASSES", 100), 2
    torch.manual_seed(0)
    model = resnet18(classes, 3, width).to(PLACE, memory_format=torch.channels_last).eval()
    retain = pictures(BATCH, 1)
    ready = in_memory(retain, BATCH)

    def ours() -> None:
        fisher_diagonal(model, list(model.parameters()), retain, torch.arange(samples), BATCH)

    compare(
        f"FF, width {width}, {classes} classes / bare loop",
        ours,
        lambda: LOOPS["ff"](model, model, ready, [], {"samples": samples}),
        LIMIT,
        repeats=size("METHOD_REPEATS", 5),
    )


@every_method
def test_the_bare_loop_takes_the_passes_that_the_method_counts(name: str) -> None:
    """Else the comparison would be with something else."""
    problem = make_problem(2 * BATCH, BATCH)
    result = unlearn(name, problem)
    known = facts(name, problem, result)
    seen = {"forward": 0, "backward": 0}

    def note(_: nn.Module, __: tuple[Tensor, ...], logits: Tensor) -> None:
        seen["forward"] += len(logits)
        if logits.requires_grad:
            logits.register_hook(lambda g: seen.update(backward=seen["backward"] + len(g)))

    models = network(), network()
    for model in models:
        model.register_forward_hook(note)
    retain, forget = (in_memory(s, BATCH) for s in (problem.retain, problem.forget))
    LOOPS[name](*models, retain, forget, known)
    assert (seen["forward"], seen["backward"]) == (result.forward_samples, result.backward_samples)

"""The speed table of a GPU: ``pytest tests/benchmarks/gpu -s``, or a part of ``ugradsl gpu``.

Everything is measured beside what it is to be compared with, in the same run: a bare loop of the
same passes on tensors that lie on the device, a usual ``DataLoader``, and the card's own limits.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset
from torchvision import transforms

from bare import _gradient_sum
from companion.backbones import ModelSpec
from companion.experiments.costs.footprint import footprint
from companion.experiments.data import Dataset
from measure import CHECK, DEVICE, compare, keep, seconds, size
from setting import BATCH, PLACE, WIDTH, in_memory, network, pictures, sgd
from test_methods import make_problem, unlearn
from test_methods import test_a_method_costs_its_passes as method_costs_its_passes
from test_speed import test_evaluation_costs_its_forward_passes as evaluation_costs_its_passes
from ugradsl_core.methods import METHODS, make_config
from ugradsl_core.methods.common import cross_entropy, one_set_plan
from ugradsl_core.methods.salun import saliency_mask
from ugradsl_core.samples import Batch
from ugradsl_core.training import Execution, SGDConfig, train

IMAGES = size("STEPS", 20) * BATCH
REPEATS = size("REPEATS", 3)
BARE_SHARE = 0.97  # of a bare loop's images per second
PRECISIONS = ("bf16", "TF32", "float32")
EAGER = [(p, c, False) for p, c in product(PRECISIONS, (True, False))]
COMPILED = [(p, c, True) for c, p in product((True, False), PRECISIONS)]
Timed = Callable[[], Any]


@contextmanager
def precision(name: str) -> Iterator[None]:
    """Products in float32, or in TF32 where the name says so."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    allowed = name == "TF32"
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = allowed
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


def fastest(**calls: Timed) -> dict[str, float]:
    """Seconds of the fastest of a few interleaved runs of each, after one that does not count."""
    for call in calls.values():
        call()
    found: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(REPEATS):
        for name, call in calls.items():
            found[name].append(seconds(lambda call=call: (call(), None)[1]))  # whole, by our clock
    return {name: min(times) for name, times in found.items()}


@pytest.fixture(scope="module")
def limits() -> dict[str, float]:
    """Operations and bytes for each second, of a large bfloat16 product and of a large copy."""
    n = size("MATRIX", 8192)
    a, b = (torch.randn(n, n, device=PLACE, dtype=torch.bfloat16) for _ in range(2))
    source = torch.empty(size("COPY_MIB", 1024) * 2**20, dtype=torch.uint8, device=PLACE)
    target = torch.empty_like(source)
    times = fastest(product=lambda: a @ b, copy=lambda: target.copy_(source))
    found = {
        "flops": 2 * n**3 / times["product"],
        "bytes": 2 * source.nbytes / times["copy"],  # read and written
    }
    print(f"\nlimits: {found['flops'] / 1e12:.3g} TFLOP/s, {found['bytes'] / 1e9:.3g} GB/s")
    keep({"name": "limits", **found})
    return found


@pytest.fixture(scope="module")
def samples() -> Dataset:
    return pictures(IMAGES, 0)


def batches_of(samples: Dataset, channels_last: bool) -> list[Batch]:
    ready = in_memory(samples, BATCH)
    return ready if channels_last else [(x.contiguous(), y) for x, y in ready]


def bare_loop(model: nn.Module, batches: Any, amp: bool) -> None:
    optimiser = sgd(model, 0.01)
    model.train()
    for inputs, labels in batches:
        optimiser.zero_grad(set_to_none=True)
        with torch.autocast(PLACE.type, torch.bfloat16, enabled=amp):
            loss = F.cross_entropy(model(inputs), labels)
        loss.backward()
        optimiser.step()


def reachable(limits: dict[str, float], amp: bool) -> dict[str, float]:
    """Images for each second at the card's limits, for one step of training.

    Bytes: what the backward pass needs of the activations, written and read once, and in each step
    the weights, their gradient and their momentum.
    """
    cost = footprint(ModelSpec(name="resnet18", width=WIDTH), 10, (3, 32, 32))
    activations = 2 * cost.saved / (2 if amp else 1)
    weights = 4 * 6 * cost.parameters / BATCH
    return {
        "flops_limit": limits["flops"] / (cost.forward + cost.backward),
        "bytes_limit": limits["bytes"] / (activations + weights),
    }


@pytest.mark.parametrize(("name", "channels_last", "compiled"), EAGER)
def test_training(
    name: str, channels_last: bool, compiled: bool, limits: dict[str, float], samples: Dataset
) -> None:
    amp = name == "bf16"
    execution = Execution(DEVICE, amp=amp, compile=compiled, channels_last=channels_last)
    config = SGDConfig(lr=0.01, epochs=1, batch_size=BATCH)
    plan, steps = one_set_plan(samples, config, torch.Generator().manual_seed(0))
    ours, other = network(), network()
    if not channels_last:
        ours, other = (m.to(memory_format=torch.contiguous_format) for m in (ours, other))
    bare: nn.Module = torch.compile(other) if compiled else other  # type: ignore[assignment]
    ready = batches_of(samples, channels_last)
    with precision(name):
        times = fastest(
            ours=lambda: train(ours, plan, steps, cross_entropy, config, execution),
            bare=lambda: bare_loop(bare, ready, amp),
        )
    rates = {f"{which}_rate": IMAGES / time for which, time in times.items()}
    line = {
        "name": "training", "precision": name, "channels_last": channels_last,
        "compile": compiled, "width": WIDTH, "batch": BATCH, **rates, **reachable(limits, amp),
    }  # fmt: skip
    share = rates["ours_rate"] / rates["bare_rate"]
    print(f"\n{name}, channels last {channels_last}, compiled {compiled}: "
          f"{rates['ours_rate']:,.0f} images/s, {share:.2f} of a bare loop")  # fmt: skip
    keep(line)
    if CHECK:
        assert share >= BARE_SHARE


class Pictures(TensorDataset):
    """Images as a usual data set gives them: one PIL image at a time, through torchvision."""

    def __init__(self, samples: Dataset) -> None:
        super().__init__(samples.inputs.cpu(), samples.all_labels)
        self.transform = transforms.Compose(
            [
                transforms.ToPILImage(),
                transforms.RandomCrop(32, 4),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize((0.5,) * 3, (0.25,) * 3),
            ]
        )

    def __getitem__(self, place: int) -> tuple[torch.Tensor, int]:
        pixels, label = self.tensors[0][place], self.tensors[1][place]
        return self.transform(np.asarray(pixels)), int(label)


def test_a_usual_loader(samples: Dataset) -> None:
    execution = Execution(DEVICE, amp=True)
    config = SGDConfig(lr=0.01, epochs=1, batch_size=BATCH, augment="crop-flip")
    plan, steps = one_set_plan(samples, config, torch.Generator().manual_seed(0))
    ours, usual = network(), network()
    loader: DataLoader[Any] = DataLoader(
        Pictures(samples), BATCH, shuffle=True, num_workers=size("WORKERS", 8),
        pin_memory=PLACE.type == "cuda", persistent_workers=size("WORKERS", 8) > 0,
    )  # fmt: skip

    def placed() -> Iterator[Batch]:
        for inputs, labels in loader:
            moved = inputs.to(PLACE, non_blocking=True, memory_format=torch.channels_last)
            yield moved, labels.to(PLACE, non_blocking=True)

    times = fastest(
        ours=lambda: train(ours, plan, steps, cross_entropy, config, execution),
        loader=lambda: bare_loop(usual, placed(), True),
    )
    rates = {f"{which}_rate": IMAGES / time for which, time in times.items()}
    print(f"\naugmented, bf16: {rates['ours_rate']:,.0f} images/s, a loader of "
          f"{size('WORKERS', 8)} workers {rates['loader_rate']:,.0f}")  # fmt: skip
    keep({"name": "loader", "workers": size("WORKERS", 8), **rates})


@pytest.fixture(scope="module")
def problem() -> Any:
    return make_problem(4 * BATCH, 2 * BATCH)


@pytest.mark.parametrize("name", ["ugradsl", "ugradsl+", "salun", "iu", "ff"])
def test_a_method_over_its_passes(name: str, problem: Any) -> None:
    method_costs_its_passes(name, problem)


def test_self_adaptive_rates(problem: Any) -> None:
    def timed(alpha: float | None) -> float:
        config = make_config("ugradsl", lr=1e-3, epochs=1, batch_size=BATCH, alpha=alpha)
        generator = torch.Generator().manual_seed(0)
        return METHODS["ugradsl"](problem, config, generator=generator).seconds

    unlearn("ugradsl", problem)
    compare("self-adaptive UGradSL / fixed rate", lambda: timed(None), lambda: timed(-0.4), 1.05)


def test_the_mask_of_salun(problem: Any) -> None:
    model = network().eval()
    ready = in_memory(problem.forget, BATCH)
    compare(
        "SalUn's mask / its passes",
        lambda: bool(saliency_mask(model, problem.forget, 0.5, BATCH)) and None,
        lambda: bool(_gradient_sum(model, ready)) and None,
        1.10,
    )


def test_evaluation_with_the_attacks() -> None:
    evaluation_costs_its_passes()


def test_several_processes_on_one_card_at_the_bench_scale() -> None:
    """Steps of so small a network are bound by kernel launches, of one process at a time."""
    steps, many = size("SMALL_STEPS", 200), size("PROCESSES", 8)
    rates = {count: _together(count, steps) for count in {1, many}}
    gain = rates[many] / rates[1]
    print(f"\nwidth 8: {rates[1]:,.0f} images/s alone, {rates[many]:,.0f} of {many} processes")
    keep({"name": "small", "processes": many, "alone_rate": rates[1], "together_rate": rates[many]})
    if CHECK:
        assert gain >= 3


def _together(count: int, steps: int) -> float:
    """Images for each second of that many processes that begin at once."""
    words = [sys.executable, str(Path(__file__).with_name("small.py")), DEVICE, str(steps)]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    running = [subprocess.Popen(words, **pipes) for _ in range(count)]
    try:
        for process in running:
            assert process.stdout.readline() == "ready\n"  # type: ignore[union-attr]
        start = time.perf_counter()
        for process in running:
            process.stdin.write("go\n")  # type: ignore[union-attr]
            process.stdin.flush()  # type: ignore[union-attr]
        ends = [float(process.stdout.readline()) for process in running]  # type: ignore[union-attr]
        assert max(ends) > 0
        return count * steps * 128 / (time.perf_counter() - start)
    finally:
        for process in running:
            process.kill()
            process.wait()
            process.stdin.close()  # type: ignore[union-attr]
            process.stdout.close()  # type: ignore[union-attr]


@pytest.mark.parametrize(("name", "channels_last", "compiled"), COMPILED)
def test_compiled_training(
    name: str, channels_last: bool, compiled: bool, limits: dict[str, float], samples: Dataset
) -> None:
    if PLACE.type == "cpu":
        pytest.skip("a rehearsal compiles nothing, which would take minutes")
    test_training(name, channels_last, compiled, limits, samples)

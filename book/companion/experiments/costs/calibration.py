"""How fast this machine is: a few timed steps of a setting's model on random inputs."""

import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from companion import backbones
from companion.experiments.costs.estimate import Speed
from companion.experiments.costs.footprint import example, replace_pretrained
from companion.experiments.costs.sizes import Sizes
from companion.experiments.settings.setting import Setting
from ugradsl_core.methods.ff import add_fisher
from ugradsl_core.training import Execution, modes, synchronise
from ugradsl_core.training.loop import in_memory_format

FIRST = 4
FISHER_CLASSES = 100


def _timed(run: Callable[[], object], device: torch.device) -> float:
    synchronise(device)
    start = time.perf_counter()
    run()
    synchronise(device)
    return time.perf_counter() - start


def _step(
    model: nn.Module, inputs: Tensor, labels: Tensor, execution: Execution
) -> tuple[float, float]:
    """Seconds of a forward pass, and of its backward pass with the optimiser's step."""
    device = inputs.device
    optimiser = torch.optim.SGD(
        [p for p in model.parameters() if p.requires_grad], lr=1e-6, momentum=0.9, fused=True
    )
    kept: list[Tensor] = []

    def forward() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=execution.amp):
            kept.append(F.cross_entropy(model(inputs), labels))

    def backward() -> None:
        kept[0].backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    return _timed(forward, device), _timed(backward, device)


def _fisher(model: nn.Module, sample: Tensor, num_classes: int) -> float:
    """Seconds of FF's passes of one sample, from those of a few classes where K is large."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    total = [torch.zeros_like(p) for p in parameters]

    def run() -> int:
        return add_fisher(total, model, parameters, sample, FISHER_CLASSES)

    with modes(model, training=False):
        classes = run()
        return _timed(run, sample.device) * num_classes / classes


def calibrate(
    setting: Setting,
    sizes: Sizes,
    execution: Execution,
    *,
    budget: float = 10.0,
    fisher: bool = False,
    progress: Callable[[str], None] = lambda _: None,
) -> Speed:
    """Seconds of one sample, from the fastest of a few steps.

    Args:
        setting: its model and batch size.
        sizes: of its inputs.
        execution: device and switches.
        budget: seconds that it may take, about; a first step of a few samples says how many
            samples a step can have, at most the setting's batch.
        fisher: time FF's passes too.
        progress: hears what is being timed.
    """
    device = execution.resolve()
    spec = replace_pretrained(setting.model)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = backbones.build(
            spec,
            num_classes=sizes.classes,
            input_shape=sizes.shape,
            vocabulary=sizes.vocabulary,
        ).to(device)
        inputs = example(sizes.shape, sizes.vocabulary, setting.training.batch_size, "cpu")
    in_memory_format(model, execution)
    inputs = inputs.to(device)
    labels = torch.zeros(len(inputs), dtype=torch.long, device=device)
    with modes(model, training=True), torch.random.fork_rng(devices=[]):
        n = min(FIRST, len(inputs))
        progress(f"a first step of {n} samples")
        _step(model, inputs[:n], labels[:n], execution)
        first = sum(_step(model, inputs[:n], labels[:n], execution))
        share = max(len(inputs) // (execution.accumulate * execution.world.size), 1)
        wanted = min(share, max(n, int(n * budget / 5 / max(first, 1e-6))))
        n = wanted if wanted == share else 2 ** (wanted.bit_length() - 1)  # a usual size
        timed: list[tuple[float, float]] = []
        deadline = time.perf_counter() + 0.6 * budget
        while len(timed) < 2 or (len(timed) < 6 and time.perf_counter() < deadline):
            progress(f"step {len(timed) + 1} of {n} samples")
            timed.append(_step(model, inputs[:n], labels[:n], execution))
    forward, backward = (min(times) / n for times in zip(*timed, strict=True))
    with modes(model, training=False), torch.inference_mode():
        seconds = min(_timed(lambda: model(inputs[:n]), device) for _ in range(2))
    progress("the Fisher of one sample" if fisher else "done")
    one = _fisher(model, inputs[:1], sizes.classes) if fisher else None
    return Speed(forward, backward, seconds / n, one)

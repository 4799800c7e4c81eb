"""The cost of self-adaptive rates: Appendix D.4's formulas, its listing, and counts of both."""

import itertools
import os
from collections.abc import Callable
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ugradsl_core.errors import ConfigError


def _check_sizes(n: int, d: int) -> None:
    for name, value, meaning in (("n", n, "the batch size"), ("d", d, "the feature dimension")):
        if value != int(value) or value < 1:
            raise ConfigError(
                f"{name}: {meaning} should be a whole number of at least 1 (Appendix D.4); "
                f"found {value!r}"
            )


def flop_terms(n: int, d: int) -> dict[str, int]:
    """The terms of Appendix D.4's count, which add up to 6nd + 2n²d + 4n² + n.

    Args:
        n: the batch size, |B_f| = |B_r|.
        d: the feature dimension.

    Raises:
        ConfigError: n or d below 1.
    """
    _check_sizes(n, d)
    return {
        "normalise, 6nd": 6 * n * d,
        "similarity, 2n²d": 2 * n * n * d,
        "distance, 2n²": 2 * n * n,
        "threshold, n²": n * n,
        "count, n²": n * n,
        "divide, n": n,
    }


def flops(n: int, d: int) -> int:
    """6nd + 2n²d + 4n² + n (Appendix D.4)."""
    return sum(flop_terms(n, d).values())


def extra_bytes(n: int, d: int, *, mask_bytes: int = 4) -> int:
    """4(4nd + 3n² + n), the "peak extra memory" of Appendix D.4 in FP32.

    Args:
        n: the batch size.
        d: the feature dimension.
        mask_bytes: of one entry of the mask. The printed formula has 4, as for a number; the
            561,408 bytes that the paper prints for n = 64 and d = 512 need 1, a truth value.

    Raises:
        ConfigError: n or d below 1.
    """
    _check_sizes(n, d)
    return 4 * (4 * n * d + 2 * n * n + n) + mask_bytes * n * n


def listed_density(forget: Tensor, retain: Tensor, threshold: float = 0.2) -> Tensor:
    """The listing of Appendix D.4 as it is printed, its axis included: (n_r,), not (n_f,).

    Args:
        forget: (n_f, d), features of B_f.
        retain: (n_r, d), features of B_r.
        threshold: β.
    """
    forget_norm = F.normalize(forget, p=2, dim=1)
    retain_norm = F.normalize(retain, p=2, dim=1)
    cos_sim = forget_norm @ retain_norm.T
    cos_dist = (1 - cos_sim) / 2
    close_mask = cos_dist < threshold
    return close_mask.sum(dim=0) / len(forget)


def _elementwise() -> dict[Any, Callable[..., int]]:
    """One operation for each entry written; of a norm two, and of a sum one, for each entry read.

    PyTorch's own counter knows products of matrices and convolutions only.
    """
    aten = torch.ops.aten

    def written(*_: Any, out_shape: Any = None, **__: Any) -> int:
        return prod(out_shape)

    def read(times: int) -> Callable[..., int]:
        return lambda shape, *_, **__: times * prod(shape)

    pointwise = (aten.div, aten.rsub, aten.sub, aten.mul, aten.add, aten.lt, aten.clamp_min)
    return {
        **dict.fromkeys(pointwise, written),
        aten.linalg_vector_norm: read(2),
        aten.sum: read(1),
    }


def counted_flops(function: Callable[[], Any], *, elementwise: bool = True) -> dict[str, int]:
    """Floating-point operations that ``function`` carried out, by ATen operation.

    Args:
        function: run once.
        elementwise: count additions, divisions, comparisons and norms besides matrix products.
    """
    from torch.utils.flop_counter import FlopCounterMode

    mapping = _elementwise() if elementwise else {}
    with FlopCounterMode(display=False, custom_mapping=mapping) as counter:
        function()
    counts = counter.get_flop_counts()["Global"]
    return {str(operation).removeprefix("aten."): count for operation, count in counts.items()}


def training_flops(model: nn.Module, inputs: Tensor) -> int:
    """Matrix products and convolutions of one forward and backward pass, counted by PyTorch.

    With a model and inputs on the ``meta`` device nothing is computed.
    """
    counts = counted_flops(lambda: model(inputs).sum().backward(), elementwise=False)
    return sum(counts.values())


def peak_bytes(function: Callable[[], Any]) -> int:
    """The most memory that PyTorch's CPU allocator gave out at once while ``function`` ran.

    Temporary tensors inside an operation count too; what was there before does not.
    """
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # or its notes on missing GPUs go to stderr
    from torch.profiler import ProfilerActivity, profile

    function()  # what is allocated once and for all stays out
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        kept = function()
    del kept
    events = profiler.profiler.kineto_results.events()
    changes = sorted((e for e in events if e.name() == "[memory]"), key=lambda e: e.start_ns())
    sizes = (int(event.nbytes()) for event in changes)
    return max(itertools.accumulate(sizes, initial=0))

"""Appendix D.4: its formulas against the operations and the memory of its listing."""

import pytest
import torch
from torch import nn

from companion.backbones import resnet18
from companion.theory.cost import (
    counted_flops,
    extra_bytes,
    flop_terms,
    flops,
    listed_density,
    peak_bytes,
    training_flops,
)
from ugradsl_core.errors import ConfigError
from ugradsl_core.smoothing import adaptive_alpha, pairwise_distance

SIZES = [(1, 1), (3, 5), (64, 512), (128, 64)]


def features(n_f: int, n_r: int, d: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n_f, d, generator=generator), torch.randn(n_r, d, generator=generator)


def test_the_printed_example_of_flops() -> None:
    assert flops(64, 512) == 4_407_360  # "roughly 4.4 × 10⁶"
    assert flop_terms(2, 3) == {
        "normalise, 6nd": 36,
        "similarity, 2n²d": 24,
        "distance, 2n²": 8,
        "threshold, n²": 4,
        "count, n²": 4,
        "divide, n": 2,
    }


def test_the_printed_example_of_memory_counts_the_mask_in_single_bytes() -> None:
    assert extra_bytes(64, 512) == 573_696
    assert extra_bytes(64, 512, mask_bytes=1) == 561_408  # what the paper prints


@pytest.mark.parametrize(("n", "d"), SIZES)
def test_counted_operations_are_the_formula_and_two_clamps(n: int, d: int) -> None:
    forget, retain = features(n, n, d)
    counts = counted_flops(lambda: listed_density(forget, retain))
    assert counts["mm"] == 2 * n * n * d
    assert counts["clamp_min"] == 2 * n  # of norms, which the formula leaves out
    assert sum(counts.values()) == flops(n, d) + 2 * n


def test_counts_by_hand() -> None:
    x = torch.ones(3, 4)
    assert counted_flops(lambda: (x + 1) / 2) == {"add": 12, "div": 12}
    assert counted_flops(lambda: x.sum(dim=0)) == {"sum": 12}
    assert counted_flops(lambda: x @ x.T, elementwise=False) == {"mm": 2 * 3 * 3 * 4}
    assert counted_flops(lambda: (x + 1) @ x.T, elementwise=False) == {"mm": 2 * 3 * 3 * 4}


def test_training_flops_of_a_linear_layer() -> None:
    """Forward nio, backward the same again for the weights; the input needs no gradient."""
    n, i, o = 5, 7, 3
    with torch.device("meta"):
        model, inputs = nn.Linear(i, o, bias=False), torch.empty(n, i)
    assert training_flops(model, inputs) == 2 * (2 * n * i * o)


def test_training_flops_on_the_meta_device_are_those_of_the_cpu() -> None:
    found = []
    for device in ("cpu", "meta"):
        with torch.device(device):
            model, inputs = resnet18(10, width=4), torch.zeros(2, 3, 16, 16)
        found.append(training_flops(model, inputs))
    assert found[0] == found[1] > 0


def test_peak_of_a_chain_counts_what_is_alive_together() -> None:
    x = torch.ones(1000, dtype=torch.float32)

    def chain() -> torch.Tensor:
        a = x + 1  # 4,000 bytes
        b = a * 2  # 8,000 together
        del a
        return b + 1  # 8,000 again

    assert peak_bytes(chain) == pytest.approx(8000, abs=64)  # scalars are small tensors too
    assert peak_bytes(lambda: x) == 0
    assert peak_bytes(lambda: (x + 1, x + 2, x + 3)) == pytest.approx(12_000, abs=64)


@pytest.mark.parametrize(("n", "d"), [(64, 512), (128, 64)])
def test_the_listing_needs_more_than_the_printed_bound(n: int, d: int) -> None:
    """Summing truth values makes 8-byte integers of them first."""
    forget, retain = features(n, n, d)
    found = peak_bytes(lambda: listed_density(forget, retain)) + 8 * n * d  # and both features
    assert found > extra_bytes(n, d)
    assert found == pytest.approx(16 * n * d + 17 * n * n + 8 * n, rel=0.01)


def test_the_listing_sums_the_wrong_axis() -> None:
    forget, retain = features(4, 6, 8)
    listed = listed_density(forget, retain, 0.5)
    ours = adaptive_alpha(forget, retain, beta=0.5)
    assert listed.shape == (6,)
    assert ours.shape == (4,)
    close = pairwise_distance(forget, retain) < 0.5
    assert listed.tolist() == pytest.approx([sum(column) / 4 for column in close.T.tolist()])
    assert ours.tolist() == pytest.approx([sum(row) / 4 for row in close.tolist()])


def test_square_batches_hide_it_and_keep_the_mean() -> None:
    forget, retain = features(16, 16, 4)
    listed = listed_density(forget, retain, 0.5)
    ours = adaptive_alpha(forget, retain, beta=0.5)
    assert listed.shape == ours.shape
    assert float(listed.mean()) == pytest.approx(float(ours.mean()))
    assert not torch.equal(listed, ours)


@pytest.mark.parametrize(
    ("n", "d", "name"), [(0, 5, "n"), (5, 0, "d"), (2.5, 5, "n"), (5, -1, "d")]
)
@pytest.mark.parametrize("formula", [flops, flop_terms, extra_bytes])
def test_sizes_below_one_are_refused(n: float, d: float, name: str, formula) -> None:
    with pytest.raises(ConfigError, match=rf"^{name}: .* at least 1 \(Appendix D\.4\); found"):
        formula(n, d)

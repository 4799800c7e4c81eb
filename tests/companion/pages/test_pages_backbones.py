"""The page of the backbones: its tables against the models, its example run as printed."""

import re
import sys
from pathlib import Path

import pytest
import torch

from companion.backbones import BACKBONES, ModelSpec, build
from companion.backbones.images import default_patch
from companion.pages.backbones import ORIGINS, SHARES, USES
from companion.pages.fragments import FRAGMENTS

ROOT = Path(__file__).parents[3]
BOOK = ROOT / "book"
PAGE = (BOOK / "backbones.md").read_text("utf-8")
NAMES = [name for name in FRAGMENTS if name.startswith("backbones")]
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def test_every_fragment_is_on_the_page() -> None:
    assert len(NAMES) == 3
    assert re.findall(r"_generated/(\S+)", PAGE) == [NAMES[0], NAMES[2], NAMES[1]]
    assert "book/backbones" in (ROOT / "_toc.yml").read_text("utf-8")


def test_every_backbone_has_a_row_and_a_source() -> None:
    overview = FRAGMENTS["backbones.md"](BOOK)
    entries = (BOOK / "references.bib").read_text("utf-8")
    for name in BACKBONES:
        assert f"`{name}`" in overview
        assert f"{{{ORIGINS[name][1]}," in entries
    assert {use.name for use in USES} == set(BACKBONES)


def test_counts_are_those_of_models_that_were_built() -> None:
    table = FRAGMENTS["backbones-parameters.md"](BOOK)
    for printed in ("11,173,962", "11,689,512", "134,301,514", "86,567,656", "109,497,620"):
        assert printed in table
    for use in (USES[0], USES[4]):
        width = BACKBONES[use.name].sizes["width"] // SHARES[-1]
        spec = ModelSpec(name=use.name, width=width)
        model = build(spec, num_classes=use.num_classes, input_shape=use.input_shape)
        count = sum(p.numel() for p in model.parameters())
        assert f"{count:,}" in table


def test_every_size_is_explained() -> None:
    table = FRAGMENTS["backbones-sizes.md"](BOOK)
    for size in ModelSpec.model_fields:
        if size != "name":
            assert f"`model.{size}`" in table


def test_the_default_patches_are_those_on_the_page() -> None:
    assert "4 for 32 × 32, 16 for 224 × 224" in PAGE
    assert (default_patch(32, 32), default_patch(224, 224)) == (4, 16)


def test_the_examples_run_as_printed() -> None:
    for block in BLOCKS:
        if "my_networks" not in block:
            exec(block, {})


def test_a_reader_can_pass_the_factory_on_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (factory,) = (block for block in BLOCKS if "my_networks" in block)
    (tmp_path / "my_networks.py").write_text(factory)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "my_networks", raising=False)
    spec = ModelSpec(name="my_networks:mlp", width=64)
    model = build(spec, num_classes=10, input_shape=(1, 8, 8))
    assert model(torch.zeros(2, 1, 8, 8)).shape == (2, 10)

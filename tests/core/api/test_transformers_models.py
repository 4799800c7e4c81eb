"""Classifiers of ``transformers``, ``peft`` and ``timm`` as they are, without a wrapper."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import Subset, TensorDataset

from toys import CPU, SIDE, SMALL, TINY, TOKENS, VOCABULARY, K, copied, images, same_bits, sentences
from toys import whole_batch as whole
from ugradsl_core import METHODS, ModelError, evaluate, unlearn
from ugradsl_core.api.fresh import fresh_copy
from ugradsl_core.api.model import LogitsOf, probe
from user_models_cases import SEVERAL

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")


def vit() -> nn.Module:
    from transformers import ViTConfig, ViTForImageClassification

    return ViTForImageClassification(
        ViTConfig(image_size=SIDE, patch_size=3, num_channels=1, **TINY)
    )


def bert() -> nn.Module:
    from transformers import BertConfig, BertForSequenceClassification

    return BertForSequenceClassification(
        BertConfig(vocab_size=VOCABULARY, max_position_embeddings=TOKENS, **TINY)
    )


def lora(model: nn.Module, **changes: Any) -> nn.Module:
    peft = pytest.importorskip("peft")
    config = peft.LoraConfig(
        r=2,
        target_modules=["query", "value", "q_proj", "v_proj"],
        modules_to_save=["classifier"],
        **changes,
    )
    return peft.get_peft_model(model, config)  # type: ignore[no-any-return]


def parts(kind: str) -> dict[str, Any]:
    data = TensorDataset(*whole(sentences(40) if kind == "bert" else images(40)))
    return {"retain": Subset(data, range(8, 32)), "forget": Subset(data, range(8))}


BUILD = {"vit": vit, "bert": bert}


def run(kind: str, method: str, network: nn.Module, **changes: Any) -> Any:
    small = {k: v for k, v in SMALL.items() if k in METHODS[method].config.model_fields}
    return unlearn(method, network, execution=CPU, **parts(kind), **{**small, **changes})


@pytest.mark.parametrize(("method", "changes"), [*((m, {}) for m in METHODS), SEVERAL[-1]])
@pytest.mark.parametrize("kind", BUILD)
def test_every_method_takes_a_classifier_as_it_is(
    kind: str, method: str, changes: dict[str, Any]
) -> None:
    torch.manual_seed(0)
    network = BUILD[kind]()
    before = copied(network.state_dict())
    found = run(kind, method, network, **changes).model
    assert type(found) is type(network)
    assert same_bits(before, network.state_dict())
    assert list(found.state_dict()) == list(before)
    assert same_bits(before, found.state_dict()) == (method == "no-step")  # no BatchNorm here
    data = TensorDataset(*whole(sentences(8, 1) if kind == "bert" else images(8, 1)))
    assert 0 <= evaluate(found, test=data, execution=CPU, **parts(kind)).TA <= 100


def test_the_result_is_that_of_the_wrapped_classifier() -> None:
    """``toys.Logits`` is the wrapper that used to be needed."""
    from toys import Logits

    torch.manual_seed(0)
    network = vit()
    for method, changes in SEVERAL:
        plain = run("vit", method, network, **changes).model.state_dict()
        wrapped = run("vit", method, Logits(network), **changes).model.state_dict()
        assert same_bits(plain, {k.removeprefix("inner."): v for k, v in wrapped.items()})


def test_fresh_weights_are_drawn_as_transformers_draws_them() -> None:
    torch.manual_seed(0)
    for build in (vit, bert):
        network = build()
        with torch.no_grad():
            for p in network.parameters():
                p.add_(1000)
        fresh = fresh_copy(network)
        for name, p in fresh.named_parameters():
            if "norm" in name.lower() or p.ndim == 1:
                assert bool(((p == 0) | (p == 1)).all()), name
            else:
                assert 0.002 < float(p.detach().std()) < 0.06, name  # initializer_range is 0.02
    assert not bool(fresh.get_parameter("bert.embeddings.word_embeddings.weight")[0].any())


def test_inputs_by_name_reach_the_classifier() -> None:
    torch.manual_seed(0)
    network = bert().eval()
    ids = whole(sentences(6))[0]
    named = {"input_ids": ids, "attention_mask": (ids != 0).long()}
    logits = LogitsOf(network)(named)
    assert torch.equal(logits, network(**named).logits)
    assert not torch.equal(logits, LogitsOf(network)(ids))
    before = copied(network.state_dict())
    first = {name: value[:1] for name, value in named.items()}
    found = probe(network, {"retain": first}, torch.device("cpu"), training=True)
    assert (found.num_classes, found.plain) == (K, False)
    assert same_bits(before, network.state_dict())


# --- peft ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("changes", [{}, {"init_lora_weights": "gaussian"}])
@pytest.mark.parametrize("kind", BUILD)
def test_retrain_of_lora_starts_from_the_base_model(kind: str, changes: dict[str, Any]) -> None:
    torch.manual_seed(0)
    network = lora(BUILD[kind](), **changes)
    with torch.no_grad():
        for p in network.parameters():
            if p.requires_grad:
                p.add_(5)
    before = copied(network.state_dict())
    fresh = run(kind, "retrain", network, epochs=0).model
    for name, value in fresh.state_dict().items():
        if "lora_B" in name:
            assert not bool(value.any()), name
        elif "lora_A" in name or "modules_to_save" in name:
            assert not torch.equal(value, before[name]), name
            assert float(value.abs().max()) < 3, name
        else:
            assert torch.equal(value, before[name]), name
    trained = run(kind, "retrain", network, epochs=2).model
    moved = {k for k, v in trained.state_dict().items() if not torch.equal(v, before[k])}
    assert all("lora" in name or "modules_to_save" in name for name in moved)
    assert any("lora_B" in name for name in moved)


@pytest.mark.parametrize("start", ["pissa", "olora"])
def test_lora_that_started_from_the_base_asks_for_a_fresh_model(start: str) -> None:
    network = lora(vit(), init_lora_weights=start)
    with pytest.raises(ModelError, match=f"init_lora_weights='{start}' .*pass make_model=…"):
        run("vit", "retrain", network)


def test_adapters_of_other_kinds_ask_for_a_fresh_model() -> None:
    peft = pytest.importorskip("peft")
    config = peft.LoHaConfig(r=2, target_modules=["q_proj", "query"])
    with pytest.raises(ModelError, match=r"cannot be initialised anew.*pass make_model=…"):
        run("vit", "retrain", peft.get_peft_model(vit(), config))


@pytest.mark.parametrize("method", [name for name in METHODS if name != "retrain"])
def test_only_the_adapter_forgets(method: str) -> None:
    torch.manual_seed(0)
    network = lora(vit())
    before = copied(network.state_dict())
    found = run("vit", method, network).model
    assert type(found) is type(network)
    moved = {k for k, v in found.state_dict().items() if not torch.equal(v, before[k])}
    assert bool(moved) == (method != "no-step")
    assert all("lora" in name or "modules_to_save" in name for name in moved)


# --- timm ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["resnet18", "vit_tiny_patch16_224"])
def test_models_of_timm(name: str) -> None:
    timm = pytest.importorskip("timm")
    sizes: dict[str, Any] = {"channels": (8, 8, 16, 16)}
    if name.startswith("vit"):
        sizes = {"img_size": 16, "embed_dim": 12, "depth": 1}
    network = timm.create_model(name, num_classes=K, **sizes)
    data = TensorDataset(torch.randn(12, 3, 16, 16), torch.arange(12) % K)
    sets = {"retain": Subset(data, range(4, 12)), "forget": Subset(data, range(4))}
    for method, changes in (("ugradsl", {"alpha": None}), ("ga", {}), ("be", {})):
        found = unlearn(method, network, execution=CPU, epochs=1, batch_size=4, **sets, **changes)
        assert type(found.model) is type(network)

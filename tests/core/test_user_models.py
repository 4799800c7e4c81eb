"""Kinds of models that people bring: wrapped, odd to copy or to call; right, or one sentence."""

import copy
import io
import logging
import random
import threading
from collections import namedtuple
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import prune
from torch.optim.swa_utils import AveragedModel
from torch.utils.checkpoint import checkpoint
from torch.utils.data import TensorDataset

from api_cases import FORGET, RETAIN, SMALL, TEST, model, run
from toys import CNN, CPU, SIDE, K, copied, mlp, same_bits, seeded_model
from ugradsl_core import (
    METHODS,
    ConfigError,
    Execution,
    ModelError,
    UGradSLError,
    evaluate,
    unlearn,
)
from ugradsl_core.api.model import LogitsOf, core_of, main_output
from ugradsl_core.errors import check_finite
from user_models_cases import SEVERAL, WITH_ADAPTIVE, ExtraState

every = pytest.mark.parametrize("method", METHODS)


def judged(network: nn.Module) -> Any:
    return evaluate(network, retain=RETAIN, forget=FORGET, test=TEST, execution=CPU)


@cache
def _usual(method: str, changes: tuple[tuple[str, Any], ...]) -> tuple[nn.Module, Any]:
    found = run(method, **dict(changes)).model
    return found, judged(found)


def usual(method: str, changes: dict[str, Any]) -> tuple[nn.Module, Any]:
    """What a method makes of the usual model, and its report: computed once for all tests."""
    return _usual(method, tuple(changes.items()))


# --- wrappers -----------------------------------------------------------------------------------


@contextmanager
def process_group() -> Iterator[None]:
    torch.distributed.init_process_group(
        "gloo", store=torch.distributed.HashStore(), rank=0, world_size=1
    )
    try:
        yield
    finally:
        torch.distributed.destroy_process_group()


def compiled_inside() -> nn.Module:
    network = model()
    network.features = torch.compile(network.features)
    return network


def compiled_in_place() -> nn.Module:
    network = model()
    network.compile()
    return network


WRAPPED: dict[str, Callable[[], nn.Module]] = {
    "DataParallel": lambda: nn.DataParallel(model()),
    "DistributedDataParallel": lambda: nn.parallel.DistributedDataParallel(model()),
    "torch.compile": lambda: torch.compile(model()),  # type: ignore[dict-item,return-value]
    "an average": lambda: AveragedModel(model()),
    "an average of a parallel one": lambda: AveragedModel(nn.DataParallel(model())),
    "compiled inside": compiled_inside,
    "compiled in place": compiled_in_place,
}


@pytest.mark.parametrize(("method", "changes"), SEVERAL)
@pytest.mark.parametrize("kind", WRAPPED)
def test_wrapped_models_give_the_result_of_what_is_inside(
    kind: str, method: str, changes: dict[str, Any]
) -> None:
    with process_group() if kind.startswith("Dist") else nullcontext():
        network = WRAPPED[kind]()
        before = copied(network.state_dict())
        found = run(method, network, head="head" if changes else None, **changes)
        assert type(found.model) is type(network)
        assert list(found.model.state_dict()) == list(before)
        assert same_bits(before, network.state_dict())
        assert same_bits(found.model.state_dict(), found.result.state_dict)
        expected = usual(method, changes)[0].state_dict()
        plain = {
            name.replace("_orig_mod.", ""): value
            for name, value in core_of(found.model).state_dict().items()
        }
        assert same_bits(plain, expected)
        assert not found.model.training


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:FutureWarning")
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")
def test_torchscript_is_refused_where_it_would_be_trained() -> None:
    scripted = torch.jit.script(nn.Sequential(nn.Flatten(), nn.Linear(SIDE**2, K)))
    with pytest.raises(ModelError, match=r"^model: is TorchScript, .* pass the module that was"):
        run("ft", scripted)
    assert 0 <= judged(scripted).RA <= 100


class Reentrant(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.fc = nn.Sequential(nn.Flatten(), nn.Linear(SIDE**2, 6)), nn.Linear(6, K)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(checkpoint(self.body, x, use_reentrant=True))


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad:UserWarning")
def test_reentrant_checkpointing_is_one_sentence() -> None:
    with pytest.raises(ModelError, match=r"^model: bs does not .*use_reentrant=False$") as caught:
        run("bs", Reentrant())
    assert "\n" not in str(caught.value)


class GradSampleModule(nn.Module):
    """Stands in for opacus'."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self._module = inner


@pytest.mark.parametrize("wrap", [lambda m: m, nn.Sequential])
def test_opacus_is_one_sentence(wrap: Callable[[nn.Module], nn.Module]) -> None:
    with pytest.raises(
        ModelError, match=r"^model: is opacus' GradSampleModule, .* pass its \._mod"
    ):
        run("ft", wrap(GradSampleModule(model())))


def test_weights_on_the_meta_device_are_one_sentence() -> None:
    with pytest.raises(ModelError, match="on the meta device and hold nothing"):
        judged(model().to("meta"))


# --- copies -------------------------------------------------------------------------------------


def pruned() -> nn.Module:
    network = nn.Sequential(nn.Flatten(), nn.Linear(SIDE**2, 6), nn.ReLU(), nn.Linear(6, K))
    prune.l1_unstructured(network[1], "weight", 0.5)
    network(torch.zeros(2, 1, SIDE, SIDE))
    return network


class KeepsActivations(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner, self.kept = mlp(), []

    def forward(self, x: Tensor) -> Tensor:
        self.kept = [self.inner(x)]
        return self.kept[0]


def keeping() -> nn.Module:
    network = KeepsActivations()
    network(torch.zeros(2, 1, SIDE, SIDE)).sum().backward()
    network.zero_grad()
    return network


def holding(**attributes: Any) -> nn.Module:
    network = model()
    for name, value in attributes.items():
        setattr(network.features, name, value)
    return network


COPIED: dict[str, Callable[[], nn.Module]] = {
    "pruned": pruned,
    "keeps activations": keeping,
    "a lock": lambda: holding(lock=threading.Lock(), other=threading.RLock()),
    "a logger": lambda: holding(log=logging.getLogger("x"), handler=logging.StreamHandler()),
    "a file": lambda: holding(file=io.StringIO()),
    "a module and a generator": lambda: holding(torch=torch, rows=(x for x in [1])),
}


@pytest.mark.parametrize("kind", COPIED)
@pytest.mark.parametrize("method", ["ft", "ugradsl", "bs", "cf-k"])
def test_models_that_are_hard_to_copy(kind: str, method: str) -> None:
    network = COPIED[kind]()
    before = copied(network.state_dict())
    found = run(method, network).model
    assert same_bits(before, network.state_dict())
    assert not same_bits(before, found.state_dict())
    judged(found)


class Connection:
    def __deepcopy__(self, _: object) -> None:
        raise TypeError("cannot pickle 'Connection' object\nfor a reason")


def test_what_hinders_a_copy_is_named() -> None:
    text = r"^model: cannot be copied \(.*'Connection' object\); set its attribute 'link' of 'feat"
    with pytest.raises(ModelError, match=text) as caught:
        run("ft", holding(link=Connection()))
    assert "\n" not in str(caught.value)


class CopiesToItself(CNN):
    def __deepcopy__(self, _: object) -> "CopiesToItself":
        return self


def test_a_copy_that_is_none_is_refused() -> None:
    with pytest.raises(ModelError, match="__deepcopy__ shares weights with it"):
        run("ft", CopiesToItself())


@every
def test_state_dicts_with_more_than_tensors(method: str) -> None:
    network = ExtraState()
    found = run(method, network).model
    assert found.told == network.told
    assert found.told is not network.told
    judged(found)


# --- calls --------------------------------------------------------------------------------------

Outputs = namedtuple("Outputs", ["logits", "auxiliary"])


class Auxiliary(CNN):
    """Returns auxiliary logits in training mode, as GoogLeNet and Inception do."""

    def forward(self, x: Tensor) -> Any:
        logits = super().forward(x)
        return Outputs(logits, 2 * logits) if self.training else logits


class Mapped(CNN):
    def forward(self, x: Tensor) -> Any:
        return {"logits": super().forward(x), "features": x}


@pytest.mark.parametrize("kind", [Auxiliary, Mapped])
@pytest.mark.parametrize(("method", "changes"), WITH_ADAPTIVE)
def test_logits_beside_other_outputs(kind: type[CNN], method: str, changes: dict[str, Any]) -> None:
    network = kind()
    network.load_state_dict(model().state_dict())
    found = run(method, network, **changes)
    assert type(found.model) is kind
    expected, report = usual(method, changes)
    assert same_bits(found.model.state_dict(), expected.state_dict())
    assert judged(found.model) == report


class Pair(CNN):
    def forward(self, x: Tensor) -> Any:
        return (super().forward(x), x) if self.training else super().forward(x)


class FewerInTraining(CNN):
    def forward(self, x: Tensor) -> Any:
        return super().forward(x)[:, 1:] if self.training else super().forward(x)


class NeedsLabels(CNN):
    def forward(self, x: Tensor, labels: Tensor | None = None) -> Any:
        if self.training and labels is None:
            raise ValueError("labels are needed\nin training")
        return super().forward(x)


class WithoutGraph(CNN):
    def forward(self, x: Tensor) -> Any:
        return super().forward(x).detach()


class GivesNaN(CNN):
    def forward(self, x: Tensor) -> Any:
        return super().forward(x) * float("nan")


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Pair, "should return a tensor of logits in training mode, too; found tuple"),
        (FewerInTraining, "returns 4 logits in evaluation mode and 3 in training mode"),
        (NeedsLabels, r"cannot process an item of retain in training mode \(labels are needed\)$"),
        (WithoutGraph, "its logits do not depend on any trainable parameter"),
        (GivesNaN, "returns NaN for the first item of retain"),
    ],
)
def test_a_model_is_probed_in_the_mode_in_which_it_is_used(kind: type[CNN], text: str) -> None:
    with pytest.raises(ModelError, match=f"^model: {text}"):
        run("ft", kind())
    if kind not in {GivesNaN}:
        judged(kind())


class Chatty(CNN):
    def forward(self, x: Tensor) -> Any:
        raise RuntimeError("\nsize mismatch\n  File 'x.py', line 3\n    traceback")


def test_messages_of_several_lines_become_one() -> None:
    with pytest.raises(ModelError) as caught:
        judged(Chatty())
    assert str(caught.value) == "model: cannot process an item of retain (size mismatch)"


class Hybrid(nn.Module):
    """Three- and two-dimensional convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.deep, self.flat = nn.Conv3d(1, 2, (1, 3, 3)), nn.Conv2d(2, 4, 3)
        self.fc = nn.Linear(4, K)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.deep(x.unsqueeze(1))).flatten(1, 2)
        return self.fc(torch.relu(self.flat(x)).mean((2, 3)))


@every
def test_convolutions_of_two_and_three_dimensions(method: str) -> None:
    torch.manual_seed(0)
    network = Hybrid()
    found = run(method, network)
    plain = run(method, network, execution=Execution("cpu", channels_last=False))
    assert same_bits(found.model.state_dict(), plain.model.state_dict())
    judged(found.model)


class Keyword(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.fc = nn.Sequential(nn.Flatten(), nn.Linear(SIDE**2, 6)), nn.Linear(6, K)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(input=self.body(x))


class Positional(Keyword):
    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.body(x))


class Cosine(Keyword):
    def forward(self, x: Tensor) -> Tensor:
        return 10 * F.linear(F.normalize(self.body(x)), F.normalize(self.fc.weight))


@pytest.mark.parametrize("bn_mode", ["separate", "joint"])
def test_a_head_that_is_called_by_keyword(bn_mode: str) -> None:
    torch.manual_seed(0)
    network, other = Keyword(), Positional()
    other.load_state_dict(network.state_dict())
    found, same = (run("ugradsl", n, alpha=None, bn_mode=bn_mode) for n in (network, other))
    assert same_bits(found.model.state_dict(), same.model.state_dict())


def test_a_head_that_is_never_called_is_named() -> None:
    with pytest.raises(ModelError, match="head: the classification layer is not called in the"):
        run("ugradsl", Cosine(), alpha=None, head="fc")
    run("ugradsl", Cosine(), head="fc")  # a fixed rate needs no features
    run("ff", Cosine(), head="fc")


class Causal(nn.Module):
    """A mask of −∞ in a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.attend = nn.MultiheadAttention(SIDE, 2, batch_first=True)
        self.fc = nn.Linear(SIDE, K)
        self.register_buffer("mask", torch.triu(torch.full((SIDE, SIDE), -torch.inf), 1))

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1, 2)
        return self.fc(self.attend(x, x, x, attn_mask=self.mask, need_weights=False)[0][:, -1])


@every
def test_an_infinite_mask_is_no_broken_weight(method: str) -> None:
    network = Causal()
    found = run(method, network).model
    assert torch.equal(found.mask, network.mask)
    judged(found)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["features.1.running_mean", "features.1.weight"])
def test_broken_statistics_and_weights_are_named(name: str, value: float) -> None:
    network = model()
    network.state_dict()[name].fill_(value)
    with pytest.raises(ModelError, match=f"the weights '{name}' hold NaN or infinite"):
        judged(network)


class Bag(nn.Module):
    """Sparse gradients, which SGD with weight decay does not take."""

    def __init__(self, sparse: bool = True) -> None:
        super().__init__()
        self.embed = nn.Embedding(300, 5, sparse=sparse)
        self.fc = nn.Linear(5, K)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.embed((x.flatten(1) * 20 + 100).long().clamp(0, 299)).mean(1))


class FunctionalBag(Bag):
    def forward(self, x: Tensor) -> Tensor:
        rows = (x.flatten(1) * 20 + 100).long().clamp(0, 299)
        return self.fc(F.embedding(rows, self.embed.weight, sparse=True).mean(1))


@pytest.mark.parametrize("method", [name for name in METHODS if name != "bs"])
def test_sparse_gradients_are_those_of_a_dense_layer(method: str) -> None:
    torch.manual_seed(0)
    network, dense = Bag(), Bag(sparse=False)
    dense.load_state_dict(network.state_dict())
    found, expected = run(method, network).model, run(method, dense).model
    assert same_bits(found.state_dict(), expected.state_dict())
    assert found.embed.sparse
    assert network.embed.sparse


def test_sparse_gradients_of_a_function_are_one_sentence() -> None:
    with pytest.raises(
        ModelError, match=r"weights 'embed.weight' have sparse gradients; use spars"
    ):
        run("ft", FunctionalBag())


class Spectral(nn.Module):
    """Estimates the norm of its weight in each forward pass, the old way."""

    def __init__(self) -> None:
        super().__init__()
        self.flat, self.fc = nn.Flatten(), nn.Linear(6, K)
        self.body = nn.utils.spectral_norm(nn.Linear(SIDE**2, 6))

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(torch.relu(self.body(self.flat(x))))


@pytest.mark.filterwarnings("ignore:.*spectral_norm.*:FutureWarning")
def test_layers_that_change_their_weights_in_forward() -> None:
    network = Spectral()
    before = copied(network.state_dict())
    for method in METHODS:
        if METHODS[method].fresh:
            continue
        found = run(method, network).model
        assert same_bits(before, network.state_dict())
        judged(found)
        if method == "cf-k":  # all but the last layer is as it was, bit for bit
            moved = {k for k, v in found.state_dict().items() if not torch.equal(v, before[k])}
            assert moved == {"fc.weight", "fc.bias"}


BACKBONE = nn.Linear(SIDE**2, 6)


def by_backbone(x: Tensor) -> Tensor:
    return BACKBONE(x)


class Stray(nn.Module):
    """Uses trainable weights that it does not register."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.parts = [nn.Linear(SIDE**2, 6)] if kind == "list" else [BACKBONE]
        self.scale = torch.ones(K, requires_grad=kind == "tensor")
        if kind == "tensor":
            self.body = nn.Linear(SIDE**2, 6)
        elif kind == "function":
            self.body = by_backbone  # type: ignore[assignment]
        else:
            self.body = self.parts[0].forward  # type: ignore[assignment]
        self.fc = nn.Linear(6, K)

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * self.fc(torch.relu(self.body(x.flatten(1))))


@pytest.mark.parametrize("kind", ["list", "tensor", "function"])
@pytest.mark.parametrize("method", ["ft", "retrain"])
def test_trainable_weights_that_are_not_registered_are_refused(kind: str, method: str) -> None:
    with pytest.raises(ModelError, match="weights that are none of its parameters; register"):
        run(method, Stray(kind))
    assert BACKBONE.weight.grad is None
    judged(Stray(kind))


class MarksActivations(CNN):
    """As ``enable_input_require_grads`` of transformers does for checkpointing."""

    def forward(self, x: Tensor) -> Tensor:
        features = self.features(x)
        return self.head(features if features.requires_grad else features.requires_grad_())


def test_activations_that_a_model_marks_are_no_stray_weights() -> None:
    network = MarksActivations()
    network.features.requires_grad_(False)
    found = run("ft", network).model
    assert not torch.equal(found.head.weight, network.head.weight)


def test_hooks_that_mask_a_gradient_are_kept() -> None:
    network = model()
    network.head.weight.register_hook(torch.zeros_like)
    found = run("ft", network, weight_decay=0.0).model
    assert torch.equal(found.head.weight, network.head.weight)
    assert not torch.equal(found.head.bias, network.head.bias)
    network.requires_grad_(False)
    judged(network)


def test_hooks_that_may_step_another_optimiser_are_refused() -> None:
    network = model()
    network.head.weight.register_post_accumulate_grad_hook(lambda p: p.grad.zero_())
    with pytest.raises(ModelError, match=r"a hook runs after the gradient of 'head.weight'; rem"):
        run("ft", network)


class Buffered(nn.Module):
    """Holds constants of unusual layouts and types."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = model()
        self.register_buffer("mixing", torch.eye(K).to_sparse())
        self.register_buffer("eighths", torch.ones(K).to(torch.float8_e4m3fn))
        self.number = nn.Parameter(torch.arange(3), requires_grad=False)
        self.phases = nn.Parameter(torch.ones(2, dtype=torch.complex64), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x) @ self.mixing.to_dense() * self.eighths.float()


@pytest.mark.parametrize(("method", "changes"), SEVERAL)
def test_constants_of_unusual_layouts_and_types(method: str, changes: dict[str, Any]) -> None:
    found = run(method, Buffered(), head="inner.head", **changes).model
    assert found.mixing.layout == torch.sparse_coo
    assert found.eighths.dtype == torch.float8_e4m3fn
    judged(found)


@pytest.mark.parametrize("name", ["mixing", "phases"])
def test_nan_is_found_in_any_layout_and_type(name: str) -> None:
    value = getattr(Buffered(), name).detach() * float("nan")
    with pytest.raises(ModelError, match="'x' hold NaN"):
        check_finite({"x": value}, "model")


class Partial(CNN):
    """Its state dict leaves the features out, as those of adapters leave out the base."""

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        whole = super().state_dict(*args, **kwargs)
        return {name: value for name, value in whole.items() if name.startswith("head")}


@pytest.mark.parametrize("method", ["ft", "retrain"])
def test_a_state_dict_that_does_not_hold_all_is_one_sentence(method: str) -> None:
    text = r"^model: cannot process its own state dict \(.*Partial: Missing key\(s\) .*features.0.w"
    with pytest.raises(ModelError, match=text) as caught:
        run(method, Partial())
    assert "\n" not in str(caught.value)
    judged(Partial())


class LaterNaN(CNN):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) / (len(x) == 1)


def test_logits_that_are_not_finite_name_the_set() -> None:
    with pytest.raises(ModelError, match="returns NaN or infinite logits for items of retain"):
        judged(LaterNaN())


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell, self.fc = nn.LSTM(SIDE, 5, batch_first=True), nn.Linear(5, K)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.cell(x.flatten(1, 2))[0][:, -1])


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(SIDE, 2, 8, batch_first=True)
        self.body, self.fc = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False), None
        self.fc = nn.Linear(SIDE, K)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.body(x.flatten(1, 2)).mean(1))


@pytest.mark.filterwarnings("ignore:TF32 acceleration:UserWarning")
@pytest.mark.parametrize("kind", [Recurrent, Encoder])
def test_iu_of_layers_with_a_fast_path(kind: type[nn.Module]) -> None:
    torch.manual_seed(0)
    network = kind()
    before = torch.backends.mha.get_fastpath_enabled(), torch.backends.mkldnn.is_available()
    found = run("iu", network, tolerance=0.1).model.state_dict()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.backends.mkldnn.flags(enabled=False, allow_tf32=False):
            slow = run("iu", network, tolerance=0.1).model.state_dict()
    finally:
        torch.backends.mha.set_fastpath_enabled(True)
    assert before == (torch.backends.mha.get_fastpath_enabled(), True)
    for name, value in found.items():
        torch.testing.assert_close(value, slow[name], rtol=1e-3, atol=1e-4)
    assert not same_bits(found, network.state_dict())


# --- what the caller has switched off or on ------------------------------------------------------


@contextmanager
def gradients_off() -> Iterator[None]:
    before = torch.is_grad_enabled()
    torch.set_grad_enabled(False)
    try:
        yield
    finally:
        torch.set_grad_enabled(before)


@contextmanager
def switched(switch: Callable[[Any], None], on: Any, off: Any) -> Iterator[None]:
    switch(on)
    try:
        yield
    finally:
        switch(off)


MODES: dict[str, Callable[[], Any]] = {
    "no_grad": torch.no_grad,
    "inference": torch.inference_mode,
    "gradients off": gradients_off,
    "meta": lambda: torch.device("meta"),
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "float64": lambda: switched(torch.set_default_dtype, torch.float64, torch.float32),
    "new parameters": lambda: switched(
        torch.__future__.set_overwrite_module_params_on_conversion, True, False
    ),
}


@pytest.mark.parametrize(("method", "changes"), WITH_ADAPTIVE)
@pytest.mark.parametrize("mode", MODES)
def test_modes_of_the_caller_do_not_matter(mode: str, method: str, changes: dict[str, Any]) -> None:
    network = model()
    expected, expected_report = usual(method, changes)
    with MODES[mode]():
        found = run(method, network, **changes).model
    assert same_bits(found.state_dict(), expected.state_dict())
    assert all(p.requires_grad and not p.is_inference() for p in found.parameters())
    with MODES[mode]():
        report = judged(found)
    assert report == expected_report


def test_a_model_and_data_made_in_inference_mode() -> None:
    with torch.inference_mode():
        network = seeded_model("cnn")
        x = torch.randn(16, 1, SIDE, SIDE)
        sets = {"retain": TensorDataset(x[:12], torch.arange(12) % K)}
        sets["forget"] = TensorDataset(x[12:], torch.arange(4))
    for method in ("ft", "ugradsl", "iu", "retrain"):
        run(method, network, **sets)


class Noisy(CNN):
    """Draws from all three global random states, in both modes."""

    def forward(self, x: Tensor) -> Tensor:
        noise = torch.rand(()).item() + random.random() + np.random.rand()
        return super().forward(x + noise / 10)


@pytest.mark.parametrize(("method", "changes"), SEVERAL)
def test_models_that_draw_follow_the_seed(method: str, changes: dict[str, Any]) -> None:
    torch.manual_seed(0)
    network = Noisy()

    def states() -> str:
        return str((torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()))

    def heard(_: object) -> None:
        torch.rand(3), random.random(), np.random.rand(2)

    def unlearned() -> Any:
        random.random(), np.random.rand()
        before = states()
        trains = "epochs" in METHODS[method].config.model_fields
        found = run(method, network, on_epoch=heard if trains else None, **changes).model
        report = judged(found)
        assert before == states()
        return copied(found.state_dict()), report

    (first, report), (again, same) = unlearned(), unlearned()
    assert same_bits(first, again)
    assert report == same


# --- numbers of other types ----------------------------------------------------------------------


def test_numbers_of_any_type_give_the_same_result() -> None:
    plain = run("ugradsl", seed=3, lr=0.25, epochs=2, batch_size=8, alpha=-0.5).model.state_dict()
    for whole, real in [
        (np.int64, np.float64),
        (np.uint8, np.float32),
        (torch.tensor, torch.tensor),
        (np.array, np.array),
        (int, __import__("fractions").Fraction),
        (int, __import__("decimal").Decimal),
    ]:
        found = run(
            "ugradsl",
            seed=whole(3),
            lr=real(0.25),
            epochs=whole(2),
            batch_size=whole(8),
            alpha=real(-0.5),
            workers=whole(0),
        )
        assert same_bits(found.model.state_dict(), plain), (whole, real)
        assert type(found.config.lr) is float
        assert type(found.config.epochs) is int


@pytest.mark.parametrize("value", [True, torch.tensor(True), 1.5, "1", torch.tensor([1, 2])])
@pytest.mark.parametrize("name", ["seed", "workers", "evaluate_every"])
def test_numbers_that_are_none_are_refused(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"^{name}: should be a whole number from"):
        run("ft", **{name: value})


@pytest.mark.parametrize("value", [True, torch.tensor(True)])
@pytest.mark.parametrize("name", ["lr", "epochs"])
def test_truth_values_are_no_numbers(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"^{name}: should be a value, not a truth value"):
        run("ft", **{name: value})


def test_complex_rates_and_endless_epochs_are_refused() -> None:
    for value in (1j, np.complex64(0.1)):
        with pytest.raises(ConfigError, match=r"^lr: should be a real number; found "):
            run("ft", lr=value)
    with pytest.raises(ConfigError, match=r"^epochs: should be at most 1000000; found 11805916"):
        run("ft", epochs=2**70)


# --- the adapter ---------------------------------------------------------------------------------


class Named(CNN):
    def forward(self, *, pixels: Tensor, scale: Tensor) -> Any:  # type: ignore[override]
        return Outputs(super().forward(pixels) * scale[:, None], None)


def test_inputs_come_by_name_and_weights_keep_their_names() -> None:
    network = Named().train()
    asked = LogitsOf(network)
    assert list(asked.state_dict()) == list(network.state_dict())
    assert [n for n, _ in asked.named_parameters()] == [n for n, _ in network.named_parameters()]
    assert asked.training
    asked.eval()
    assert not any(module.training for module in network.modules())
    x, scale = torch.randn(3, 1, SIDE, SIDE), torch.tensor([1.0, 2.0, 3.0])
    logits = asked({"pixels": x, "scale": scale})
    assert torch.equal(logits, network(pixels=x, scale=scale).logits)
    other = copy.deepcopy(asked)
    other.double()
    assert other.core.head.weight.dtype == torch.float64
    assert network.head.weight.dtype == torch.float32
    other.head = nn.Linear(16, 2).double()
    assert other.core.head.out_features == 2


def test_the_main_output_is_found_or_left_to_be_refused() -> None:
    x = torch.zeros(2, 3)
    for output in (x, (x,), [x], {"logits": x, "loss": None}, Outputs(x, None)):
        assert main_output(output) is x
    for output in ((x, x), {"out": x}, None, Outputs(None, x)):
        assert main_output(output) is output


# --- epochs ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [name for name in METHODS if name not in {"ff", "iu"}])
def test_a_callback_hears_and_does_not_disturb(method: str) -> None:
    heard = []

    def listen(epoch: Any) -> None:
        torch.rand(5)
        for p in epoch.model.parameters():
            p.data.zero_()
        heard.append((epoch.number, epoch.loss))

    found = run(method, epochs=3, on_epoch=listen, evaluate_every=2)
    assert [number for number, _ in heard] == [2, 3]
    assert same_bits(found.model.state_dict(), run(method, epochs=3).model.state_dict())


def test_a_callback_sees_the_model_as_it_will_be() -> None:
    seen = []
    found = run("ugradsl", epochs=2, on_epoch=lambda e: seen.append(e.model))
    assert same_bits(seen[-1].state_dict(), found.model.state_dict())
    assert not same_bits(seen[0].state_dict(), found.model.state_dict())
    assert not seen[0].training
    seen.clear()
    found = run("be", nn.DataParallel(model()), epochs=1, on_epoch=lambda e: seen.append(e.model))
    assert type(seen[0]) is nn.DataParallel
    assert same_bits(seen[0].state_dict(), found.model.state_dict())
    kept = run("be", epochs=1, variant="kept", on_epoch=lambda e: seen.append(e.model))
    assert same_bits(seen[-1].state_dict(), kept.model.state_dict())


@pytest.mark.parametrize("answer", [True, 1])
def test_a_callback_that_returns_true_stops(answer: object) -> None:
    found = run("ft", epochs=5, on_epoch=lambda e: answer if e.number == 2 else None)
    assert same_bits(found.model.state_dict(), run("ft", epochs=2).model.state_dict())
    assert found.result.steps == run("ft", epochs=2).result.steps


def test_a_callback_is_off_the_clock() -> None:
    import time

    found = run("ft", epochs=2, on_epoch=lambda _: time.sleep(0.3))
    assert found.seconds < 0.5


def test_a_callbacks_own_error_comes_out_as_it_is() -> None:
    def fail(_: object) -> None:
        raise ValueError("mine")

    with pytest.raises(ValueError, match=r"^mine$") as caught:
        run("ft", on_epoch=fail)
    assert not isinstance(caught.value, UGradSLError)


@pytest.mark.parametrize(
    ("method", "value", "text"),
    [("ff", print, "on_epoch: ff has no epochs"), ("ft", 3, "on_epoch: should be a function")],
)
def test_callbacks_that_cannot_be_called_are_refused(method: str, value: Any, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        run(method, on_epoch=value)


def test_the_passes_are_named_before_anything_is_computed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO, "ugradsl_core"):
        found = run("ugradsl", epochs=2)
    (line,) = [record.getMessage() for record in caplog.records]
    done = found.result
    assert line == (
        f"ugradsl: 2 epochs, {done.steps} steps, {done.forward_samples} samples forward and "
        f"{done.backward_samples} backward"
    )


def test_what_pytorch_says_of_a_model_is_one_sentence() -> None:
    class Breaks(CNN):
        def forward(self, x: Tensor) -> Tensor:
            if len(x) > 2:
                raise RuntimeError("too many\nrows")
            return super().forward(x)

    text = r"^model: ft does not work with it \(RuntimeError: too many\)$"
    with pytest.raises(ModelError, match=text) as caught:
        unlearn("ft", Breaks(), retain=RETAIN, forget=FORGET, **SMALL)
    assert isinstance(caught.value.__cause__, RuntimeError)

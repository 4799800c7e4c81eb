"""Pretrained weights, from safetensors files alone: nothing that a file could run is opened."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from companion.backbones import hub
from companion.backbones.images import ImageLogits
from companion.backbones.spec import BACKBONES, ModelSpec
from companion.backbones.text import TextLogits
from ugradsl_core.errors import ConfigError, ModelError

FILES = "config.json and model.safetensors"


def load_classifier(
    spec: ModelSpec, num_classes: int, input_shape: tuple[int, ...], vocabulary: int | None
) -> nn.Module:
    """A classifier of ``transformers`` with pretrained weights and, as a rule, a fresh head.

    Nothing is downloaded: the name is looked up in the Hugging Face cache.

    Raises:
        ConfigError: weights that are not on this machine, or inputs that they were not made for.
    """
    from safetensors import SafetensorError
    from transformers import (
        AutoConfig,
        AutoModelForImageClassification,
        AutoModelForSequenceClassification,
    )

    name = str(spec.pretrained)
    place = hub.locate(name, "pretrained")
    is_text = BACKBONES[spec.name].inputs == "token ids"
    auto = AutoModelForSequenceClassification if is_text else AutoModelForImageClassification
    try:
        with hub.quietly():
            config = AutoConfig.from_pretrained(
                place, num_labels=num_classes, local_files_only=True
            )
            _set_dropout(config, spec)
            _check_inputs(config, name, input_shape, vocabulary)
            model = auto.from_pretrained(
                place,
                config=config,
                local_files_only=True,
                use_safetensors=True,
                ignore_mismatched_sizes=True,
                dtype=torch.float32,
            )
    except (OSError, SafetensorError) as error:
        raise hub.not_here(name, "pretrained", FILES, error) from error
    except ValueError as error:
        if isinstance(error, ConfigError):
            raise
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ConfigError(f"pretrained: {name!r} is no model for {spec.name} ({reason})") from error
    model.train()
    return TextLogits(model, config.pad_token_id) if is_text else ImageLogits(model)


def _set_dropout(config: Any, spec: ModelSpec) -> None:
    if spec.dropout is None:
        return
    names = ("hidden_dropout_prob", "attention_probs_dropout_prob")
    if not all(hasattr(config, name) for name in names):
        raise ConfigError("dropout: cannot be set for this pretrained model; leave it out")
    for name in names:
        setattr(config, name, spec.dropout)


def _check_inputs(
    config: Any, name: str, input_shape: tuple[int, ...], vocabulary: int | None
) -> None:
    if vocabulary is None:
        channels = getattr(config, "num_channels", input_shape[0])
        if channels != input_shape[0]:
            raise ConfigError(
                f"pretrained: {name!r} needs images of {channels} channels; found {input_shape[0]}"
            )
        return
    if getattr(config, "pad_token_id", None) is None:
        raise ConfigError(f"pretrained: {name!r} has no padding token, which batches of text need")
    if vocabulary > config.vocab_size:
        raise ConfigError(
            f"tokenizer: should be that of the pretrained model {name!r}, with "
            f"{config.vocab_size} token ids; found one with {vocabulary}"
        )
    positions = getattr(config, "max_position_embeddings", input_shape[0])
    if input_shape[0] > positions:
        raise ConfigError(
            f"max_length: should be at most {positions}, the positions of {name!r}; "
            f"found {input_shape[0]}"
        )


def load_file(model: nn.Module, path: str, head: str) -> None:
    """Fill ``model`` with a state dict from a safetensors file, in place.

    A head for another number of classes is left out, so that the model's own stays fresh.

    Raises:
        ModelError: the file is missing, is not a safetensors file, or holds other weights.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file as load

    try:
        state = load(str(Path(path).expanduser()))
    except (OSError, SafetensorError) as error:
        raise ModelError(f"pretrained: {path} is no readable safetensors file ({error})") from error
    own = model.state_dict()
    for name in (f"{head}.weight", f"{head}.bias"):
        if name in state and state[name].shape != own[name].shape:
            del state[name]
    wrong = [
        name
        for name, value in own.items()
        if not name.startswith(f"{head}.")
        and (name not in state or state[name].shape != value.shape)
    ]
    wrong += [name for name in state if name not in own]
    if wrong:
        raise ModelError(
            f"pretrained: {path} should hold this model's weights; {wrong[0]!r} and "
            f"{len(wrong) - 1} more are missing, unknown or of another shape"
        )
    model.load_state_dict(state, strict=False)

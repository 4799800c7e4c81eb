"""BERT for token ids: one tensor in, logits out."""

from typing import Any

import torch
from torch import Tensor, nn

from companion.backbones.spec import initial_spread
from ugradsl_core.errors import ModelError

POSITIONS = 512


class TextLogits(nn.Module):
    """A classifier of ``transformers`` that takes token ids alone and returns its logits alone.

    Tokens that are not padding are attended to.
    """

    def __init__(self, inner: nn.Module, padding: int) -> None:
        super().__init__()
        self.inner = inner
        self.padding = padding

    def forward(self, ids: Tensor) -> Tensor:
        """int64 (n, L) to (n, K)."""
        if ids.is_floating_point() or ids.ndim != 2:
            raise ModelError(
                "bert: inputs should be token ids, int64 of shape (n, L); found "
                f"{str(ids.dtype).removeprefix('torch.')} of shape {tuple(ids.shape)}"
            )
        logits: Tensor = self.inner(input_ids=ids, attention_mask=self._mask(ids)).logits
        return logits

    def _mask(self, ids: Tensor, *, whole: bool | None = None) -> Tensor:
        """The tokens to attend to: (n, L), or ``whole``, (n, 1, 1, L), as attention takes it.

        ``transformers`` looks whether the former is true everywhere, for which the host would have
        to wait for a GPU; the latter it takes as it is.
        """
        kind = getattr(getattr(self.inner, "config", None), "_attn_implementation", None)
        attended = ids != self.padding
        if ids.is_cuda and kind == "sdpa" if whole is None else whole:
            return attended[:, None, None, :]
        return attended.to(torch.long)


def bert(
    num_classes: int,
    vocabulary: int,
    *,
    length: int = POSITIONS,
    width: int = 768,
    depth: int = 12,
    heads: int = 12,
    dropout: float = 0.1,
) -> nn.Module:
    """BERT with fresh weights; the defaults are BERT-base.

    Args:
        num_classes: K.
        vocabulary: token ids; 0 is padding.
        length: of the longest input; there are never fewer than 512 positions.
        width: hidden size; the two-layer network inside a layer has 4 times as many units.
        depth: layers.
        heads: of attention; a divisor of ``width``.
        dropout: of hidden values, of attention and before the head.
    """
    from transformers import BertConfig, BertForSequenceClassification

    make_config: Any = BertConfig  # its stub lacks num_labels
    config = make_config(
        vocab_size=vocabulary,
        max_position_embeddings=max(POSITIONS, length),
        hidden_size=width,
        num_hidden_layers=depth,
        num_attention_heads=heads,
        intermediate_size=4 * width,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        num_labels=num_classes,
        pad_token_id=0,
        initializer_range=initial_spread(width),
    )
    return TextLogits(BertForSequenceClassification(config), 0)

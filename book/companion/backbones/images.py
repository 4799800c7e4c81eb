"""Backbones for images: ResNet-18, VGG-16 and the vision transformer."""

import math
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from companion.backbones.spec import initial_spread
from ugradsl_core.errors import ConfigError

POOL = 0
VGG16_STAGES = (1, 1, POOL, 2, 2, POOL, 4, 4, 4, POOL, 8, 8, 8, POOL, 8, 8, 8, POOL)


class _Subsampled(nn.Conv2d):
    """A 1×1 convolution of stride 2 that drops pixels first where PyTorch's kernel is broken.

    On the CPU, with several threads, few channels, channels last and an odd batch, the backward
    pass of PyTorch 2.14's kernel writes outside its memory. Dropping pixels first is the same
    convolution up to rounding.
    """

    def forward(self, input: Tensor) -> Tensor:
        broken = input.device.type == "cpu" and torch.get_num_threads() > 1
        if broken and len(input) % 2:
            return F.conv2d(input[..., ::2, ::2], self.weight, self.bias)
        return super().forward(input)


def resnet18(
    num_classes: int,
    in_channels: int = 3,
    width: int = 64,
    stem: Literal["cifar", "imagenet"] = "cifar",
) -> nn.Module:
    """ResNet-18 with one of two stems.

    ``"cifar"`` is a 3×3 convolution of stride 1 without max-pooling, ``"imagenet"`` a 7×7
    convolution of stride 2 with it. Blocks and forward pass are torchvision's. ``width=64`` is the
    paper's network; the stages have ``width``, 2, 4 and 8 times ``width`` channels.
    """
    from torchvision.models.resnet import BasicBlock, ResNet

    class ResNet18(ResNet):  # type: ignore[misc]
        def __init__(self) -> None:
            nn.Module.__init__(self)
            self._norm_layer = nn.BatchNorm2d
            self.inplanes, self.dilation, self.groups, self.base_width = width, 1, 1, 64
            if stem == "cifar":
                self.conv1 = nn.Conv2d(in_channels, width, 3, padding=1, bias=False)
                pooling: nn.Module = nn.Identity()
            else:
                self.conv1 = nn.Conv2d(in_channels, width, 7, stride=2, padding=3, bias=False)
                pooling = nn.MaxPool2d(3, stride=2, padding=1)
            self.bn1 = nn.BatchNorm2d(width)
            self.relu = nn.ReLU(inplace=True)
            self.maxpool = pooling
            self.layer1 = self._make_layer(BasicBlock, width, 2)
            self.layer2 = self._make_layer(BasicBlock, 2 * width, 2, stride=2)
            self.layer3 = self._make_layer(BasicBlock, 4 * width, 2, stride=2)
            self.layer4 = self._make_layer(BasicBlock, 8 * width, 2, stride=2)
            self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
            self.fc = nn.Linear(8 * width, num_classes)
            for module in self.modules():
                if isinstance(module, nn.Conv2d):
                    nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                    if module.kernel_size == (1, 1):
                        module.__class__ = _Subsampled

    return ResNet18()


def vgg16(
    num_classes: int,
    in_channels: int = 3,
    width: int = 64,
    *,
    batch_norm: bool = False,
    dropout: float = 0.5,
) -> nn.Module:
    """VGG-16; ``width=64`` has torchvision's layers, weights at the start and forward pass.

    Pooling rounds sizes up, so that images smaller than 32×32 pass too; from 32×32 on in steps of
    32 nothing differs. The three linear layers have 64 times ``width`` units.
    """
    from torchvision.models import VGG

    class VGG16(VGG):  # type: ignore[misc]
        def __init__(self) -> None:
            nn.Module.__init__(self)
            layers: list[nn.Module] = []
            channels = in_channels
            for factor in VGG16_STAGES:
                if factor == POOL:
                    layers.append(nn.MaxPool2d(2, stride=2, ceil_mode=True))
                    continue
                layers.append(nn.Conv2d(channels, factor * width, 3, padding=1))
                channels = factor * width
                if batch_norm:
                    layers.append(nn.BatchNorm2d(channels))
                layers.append(nn.ReLU(inplace=True))
            self.features = nn.Sequential(*layers)
            self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
            units = 64 * width
            self.classifier = nn.Sequential(
                nn.Linear(channels * 7 * 7, units),
                nn.ReLU(inplace=True),
                nn.Dropout(dropout),
                nn.Linear(units, units),
                nn.ReLU(inplace=True),
                nn.Dropout(dropout),
                nn.Linear(units, num_classes),
            )
            for module in self.modules():
                if isinstance(module, nn.Conv2d):
                    nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                    nn.init.zeros_(module.bias)  # type: ignore[arg-type]
                elif isinstance(module, nn.Linear):
                    nn.init.normal_(module.weight, 0, 0.01)
                    nn.init.zeros_(module.bias)

    return VGG16()


class ImageLogits(nn.Module):
    """A classifier of ``transformers`` for images that returns its logits alone."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        config: Any = inner.config
        side = config.image_size
        self.size = (side, side) if isinstance(side, int) else tuple(side)

    def forward(self, x: Tensor) -> Tensor:
        """(n, C, H, W) to (n, K); positions are interpolated where the size is not the model's."""
        other = tuple(x.shape[-2:]) != self.size
        logits: Tensor = self.inner(pixel_values=x, interpolate_pos_encoding=other).logits
        return logits


def default_patch(height: int, width: int) -> int:
    """The smallest patch that tiles the image and has 16 pixels, or an eighth of a small side."""
    least = min(16.0, min(height, width) / 8)
    tiling = (p for p in range(1, math.gcd(height, width) + 1) if height % p == width % p == 0)
    return next((p for p in tiling if p >= least), math.gcd(height, width))


def vit(
    num_classes: int,
    input_shape: tuple[int, int, int],
    *,
    width: int = 768,
    depth: int = 12,
    heads: int = 12,
    patch_size: int | None = None,
    dropout: float = 0.0,
) -> nn.Module:
    """A vision transformer with fresh weights; the defaults are ViT-B/16 on 224×224 images.

    Args:
        num_classes: K.
        input_shape: (C, H, W).
        width: hidden size; the two-layer network inside a block has 4 times as many units.
        depth: blocks.
        heads: of attention; a divisor of ``width``.
        patch_size: pixels; by default :func:`default_patch`.
        dropout: of hidden values and of attention.

    Raises:
        ConfigError: the patches do not tile the image.
    """
    from transformers import ViTConfig, ViTForImageClassification

    channels, height, breadth = input_shape
    patch = patch_size or default_patch(height, breadth)
    if height % patch or breadth % patch:
        raise ConfigError(
            f"patch_size: should divide the image's {height}×{breadth} pixels; found {patch}"
        )
    make_config: Any = ViTConfig  # its stub lacks num_labels
    config = make_config(
        image_size=height if height == breadth else (height, breadth),
        patch_size=patch,
        num_channels=channels,
        hidden_size=width,
        num_hidden_layers=depth,
        num_attention_heads=heads,
        intermediate_size=4 * width,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        num_labels=num_classes,
        initializer_range=initial_spread(width),
    )
    return ImageLogits(ViTForImageClassification(config))

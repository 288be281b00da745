"""Small random image transformers of the libraries that people take them from, for images of 64 x 96."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision.models.swin_transformer import SwinTransformer
from torchvision.models.vision_transformer import VisionTransformer

SIZE = (64, 96)
CLASSES = 5


@dataclass(frozen=True)
class Case:
    """A network and what is true of it.

    Attributes:
        build: makes it.
        layer: the layer to choose.
        grid: of that layer.
        prefix: tokens before the grid.
        early: a layer before any token looks at another.
        patch: side of what one cell of the early layer sees, in pixels.
        size: of its images.
    """

    build: Callable[[], nn.Module]
    layer: str
    grid: tuple[int, int]
    prefix: int
    early: str
    patch: int
    size: tuple[int, int] = SIZE


def _timm(name: str, **options: Any) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        net: nn.Module = pytest.importorskip("timm").create_model(name, num_classes=CLASSES, **options)
        return net

    return build


def _hugging_face(model: str, config: str, **options: Any) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        library = pytest.importorskip("transformers")
        net: nn.Module = getattr(library, model)(getattr(library, config)(num_labels=CLASSES, **options))
        return net

    return build


_VIT = {"img_size": SIZE, "embed_dim": 32, "depth": 2, "num_heads": 2}
_HF_VIT = {
    "image_size": SIZE,
    "patch_size": 16,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
}

CASES = {
    "torchvision vit": Case(
        lambda: VisionTransformer(64, 16, 2, 2, 32, 64, num_classes=CLASSES),
        "encoder.layers.encoder_layer_1.ln_1",
        (4, 4),
        1,
        "encoder.layers.encoder_layer_0.ln_1",
        16,
        (64, 64),
    ),
    "torchvision swin": Case(
        lambda: SwinTransformer([4, 4], 16, [2, 2], [2, 4], [4, 4], num_classes=CLASSES),
        "norm",
        (8, 12),
        0,
        "features.1.0.norm1",
        4,
    ),
    "timm vit": Case(_timm("vit_tiny_patch16_224", **_VIT), "blocks.1.norm1", (4, 6), 1, "blocks.0.norm1", 16),
    "timm vit that averages": Case(
        _timm("vit_tiny_patch16_224", global_pool="avg", fc_norm=False, **_VIT),
        "norm",
        (4, 6),
        1,
        "blocks.0.norm1",
        16,
    ),
    "timm distilled deit": Case(
        _timm("deit_tiny_distilled_patch16_224", **_VIT), "blocks.1.norm1", (4, 6), 2, "blocks.0.norm1", 16
    ),
    "timm vit with registers": Case(
        _timm("vit_small_patch14_reg4_dinov2", patch_size=16, **_VIT), "blocks.1.norm1", (4, 6), 5, "blocks.0.norm1", 16
    ),
    "timm swin": Case(
        _timm(
            "swin_tiny_patch4_window7_224", img_size=SIZE, embed_dim=16, depths=(1, 1), num_heads=(2, 4), window_size=4
        ),
        "norm",
        (8, 12),
        0,
        "layers.0.blocks.0.norm1",
        4,
    ),
    "transformers vit": Case(
        _hugging_face("ViTForImageClassification", "ViTConfig", **_HF_VIT),
        "vit.layers.1.layernorm_before",
        (4, 6),
        1,
        "vit.layers.0.layernorm_before",
        16,
    ),
    "transformers distilled deit": Case(
        _hugging_face("DeiTForImageClassificationWithTeacher", "DeiTConfig", **_HF_VIT),
        "deit.layers.1.layernorm_before",
        (4, 6),
        2,
        "deit.layers.0.layernorm_before",
        16,
    ),
    "transformers swin": Case(
        _hugging_face(
            "SwinForImageClassification",
            "SwinConfig",
            image_size=SIZE,
            patch_size=4,
            embed_dim=16,
            depths=[1, 1],
            num_heads=[2, 4],
            window_size=4,
        ),
        "swin.layernorm",
        (8, 12),
        0,
        "swin.encoder.layers.0.blocks.0.layernorm_before",
        4,
    ),
}


def make(kind: str) -> tuple[nn.Module, Tensor]:
    """A network of a kind, always with the same weights, and two random images."""
    case = CASES[kind]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = case.build().eval()
        for parameter in net.parameters():  # some heads start as zeros
            if not parameter.any():
                nn.init.normal_(parameter, std=0.1)
        return net, torch.randn(2, 3, *case.size)

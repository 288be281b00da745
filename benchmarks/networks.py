"""The networks that are measured: torchvision's, with random weights, which are as fast as others."""

import torch
import torchvision
from torch import Tensor, nn

from saliency.choice import last_spatial


def network(name: str) -> nn.Module:
    """A network as it comes, in evaluation mode."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        built: nn.Module = getattr(torchvision.models, name)()
        for module in built.modules():
            if isinstance(module, nn.Linear) and not module.weight.any():
                nn.init.trunc_normal_(module.weight, std=0.02)  # ViT's head, whose maps would all be flat
    return built.eval()


def pictures(count: int, side: int = 224) -> Tensor:
    """Noise as networks take it, ``[count, 3, side, side]``."""
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(0))


def explained_layer(model: nn.Module) -> nn.Module:
    """The module that is explained in one where nothing else is named, for peers that have to be told."""
    return last_spatial(model, pictures(1)).module

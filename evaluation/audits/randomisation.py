"""Networks some of whose layers have lost what they learnt."""

from collections.abc import Iterator, Sequence

import torch
from torch import nn


def layers(network: nn.Module) -> dict[str, list[str]]:
    """The layers that are randomised one at a time, from the input to the output, each with the modules it is made of.

    These are the network's parts that have weights; a sequence is as many as it has parts, and parts that only scale
    and shift channels, such as a batch normalisation, go with what they follow.

    Raises:
        ValueError: no part of the network has weights.
    """
    found: dict[str, list[str]] = {}
    for name, module in _parts(network, ""):
        dims = [parameter.dim() for parameter in module.parameters()]
        if not dims:
            continue
        if max(dims) == 1 and found:
            found[next(reversed(found))].append(name)
        else:
            found[name] = [name]
    if not found:
        raise ValueError(f"no part of the {type(network).__name__} has weights, so there is nothing to randomise")
    return found


@torch.no_grad()
def randomise(network: nn.Module, modules: Sequence[str], generator: torch.Generator) -> None:
    """Initialises some modules anew, in place, as kinds of layer are before training.

    Parameters that no layer initialises by itself, such as a class token, are drawn from a normal distribution of the
    mean and the standard deviation that they have.

    Args:
        network: whose parameters change.
        modules: their dotted names.
        generator: on the CPU; PyTorch's own is left as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**31, (), generator=generator)))
        for part in (part for name in modules for part in network.get_submodule(name).modules()):
            reset = getattr(part, "reset_parameters", None)
            if reset is not None:
                reset()
                continue
            for parameter in part.parameters(recurse=False):
                noise = torch.randn(parameter.shape).to(parameter)
                parameter.copy_(parameter.mean() + parameter.std(correction=0) * noise)


def _parts(module: nn.Module, prefix: str) -> Iterator[tuple[str, nn.Module]]:
    for name, child in module.named_children():
        if isinstance(child, nn.Sequential):
            yield from _parts(child, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", child

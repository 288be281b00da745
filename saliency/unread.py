"""What need not run after a layer: work on tokens that nobody reads.

Where a class token alone is read in the end, whatever the last block does to the patches once they were attended to is
for nothing. Most of it, such as its MLP with two thirds of the block's weights, works on each token by itself, and so
gives the same to the class token when it runs on that alone; attention does if its queries come apart from its keys.
Forward, backward and graph shrink to a token's.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from weakref import WeakKeyDictionary, ref

import torch
from torch import Tensor, nn

from saliency import capture
from saliency.capture import Inputs, scores_of
from saliency.choice import poisoned
from saliency.head import Head, same_values
from saliency.hooks import narrow, watch
from saliency.layers import Layer
from saliency.survey import noise, survey

Found = tuple[Tensor, Tensor]


def narrowed(model: nn.Module, inputs: Inputs, layers: Sequence[Layer]) -> AbstractContextManager[None]:
    """Until the block ends, the model does without what nobody reads, in this thread."""
    prefix = layers[0].prefix if len(layers) == 1 else 0
    return narrow(_remembered(model, inputs, layers[0]) if prefix else (), prefix)


@torch.enable_grad()
def token_by_token(model: nn.Module, inputs: Inputs, layer: Layer) -> tuple[nn.Module, ...]:
    """The modules after a layer that give tokens of which the prefix alone is read, each of its own input.

    A NaN in the other tokens that does not reach the scores shows that they are not read; scores and gradients that
    stay as they were when a module runs on the prefix alone, that it makes each by itself. Modules inside of others are
    left out, and those without weights, where nothing is to be spared.

    Args:
        model: in evaluation mode.
        inputs: images that it takes; only their size matters.
        layer: gives tokens, some of them a prefix.
    """
    sample = noise(inputs, 1)
    head = Head(model, sample, layer)
    if not head.alone:
        return ()
    only = torch.zeros(1, dtype=torch.int64, device=head.activation.device)

    def run_head() -> Found:
        activation = head.activation.clone().requires_grad_()
        return _with_gradient(scores_of(head.resume(activation.clone(), only)), activation)

    def run_all() -> Found:
        run = capture.forward(model, sample, [layer])
        return _with_gradient(run.outputs, run.taps[0])

    expected = run_head()
    found: list[nn.Module] = []
    for candidate in reversed(list(survey(model, inputs).grids)):  # a whole ends after its parts
        if candidate.module is layer.module:
            break
        inside = any(candidate.module is part for whole in found for part in whole.modules())
        around = any(layer.module is part for part in candidate.module.modules())
        idle = next(candidate.module.parameters(), None) is None
        if inside or around or idle or (candidate.grid, candidate.prefix) != (layer.grid, layer.prefix):
            continue
        with watch({candidate.module: partial(poisoned, candidate)}):
            read = bool(head.run(head.activation, only).isnan().any())
        if not read and _same(run_head, expected, [candidate.module], layer.prefix):
            found.append(candidate.module)
    # What ran before the layer too must not be narrowed there.
    return tuple(found) if found and _same(run_all, run_all(), found, layer.prefix) else ()


def _remembered(model: nn.Module, inputs: Inputs, layer: Layer) -> tuple[nn.Module, ...]:
    known = _known.setdefault(model, {})
    if layer.name not in known:
        known[layer.name] = tuple(ref(module) for module in token_by_token(model, inputs, layer))
    return tuple(module for each in known[layer.name] if (module := each()) is not None)


def _with_gradient(scores: Tensor, activation: Tensor) -> Found:
    """Scores, and the gradient of a mixture of them."""
    mixture = scores @ torch.linspace(1, 2, scores.shape[-1]).to(scores)
    (gradient,) = torch.autograd.grad(mixture.sum(), activation)
    return scores.detach(), gradient


def _same(run: Callable[[], Found], expected: Found, modules: Sequence[nn.Module], prefix: int) -> bool:
    """Whether all is as expected when modules run on the prefix alone."""
    try:
        with narrow(modules, prefix):
            found = run()
    except Exception:  # whatever a module does that needs all tokens, or is given something else
        return False
    return all(same_values(one, other) for one, other in zip(found, expected, strict=True))


_known: WeakKeyDictionary[nn.Module, dict[str, tuple["ref[nn.Module]", ...]]] = WeakKeyDictionary()
"""By model, which must be free to go, and the layer's name."""

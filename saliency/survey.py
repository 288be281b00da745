"""What watched forwards tell of a model: which of its layers have rows and columns, and where these lie.

Nothing is taken from the names of models or modules. A 2-d convolution gives ``[B, C, h, w]`` by definition, so the
grids of all convolutions are known. From there:

* ``[B, a, b, C]`` is a map with its channels last if a linear layer or a layer norm, which work on the last dimension,
  gave that shape, and ``a x b`` is a known grid or one halved, as by patch merging. If a convolution gave the same
  shape too, nobody can tell, and the layer is called ambiguous.
* ``[B, T, C]`` is a sequence of tokens if it is seen to be: a NaN in a convolution's first cell turns up in one token
  alone, one in its last cell in another, and from the one to the other there are as many tokens as cells. Those before
  are prefix tokens, however many. Shorter sequences fit if they are such a grid halved.
* All else with four dimensions is ``[B, C, h, w]``; in a network that has tokens or works on last dimensions only if
  its grid is known, for it might be attention or windows. What has the shape of attention weights is taken for them.

A model may take texts beside the image. An image of NaN shows what does not depend on it. A text may be as long as the
sequence of patches, and look at these later on; but it starts apart. So once a sequence has been seen that the image
does not reach, no later one of that length is one of patches.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from saliency.attention import watch_attention
from saliency.capture import Inputs, call, first_tensor
from saliency.hooks import watch
from saliency.layers import Layer

Grid = tuple[int, int]
"""Rows and columns."""

_POOLING = (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.AvgPool2d, nn.MaxPool2d, nn.LPPool2d)
_CHANNELS_FIRST = (nn.Conv2d, nn.BatchNorm2d, *_POOLING)
_SIZES_REMEMBERED = 256  # texts come in many lengths, and a look at each costs four forwards


@dataclass(frozen=True)
class Survey:
    """What was seen of a model.

    Attributes:
        grids: rows and columns of each layer that has more than one cell, but for pooling, in the order in which they
            end in the forward.
        ambiguous: names of layers of which nobody can tell where their channels are.
        attention: shapes ``[H, T, S]`` of the attention weights that the image reaches, by their place among all, in
            order; None for those that do not span an image, such as those of windows.
    """

    grids: Mapping[Layer, Grid]
    ambiguous: frozenset[str]
    attention: Mapping[int, tuple[int, ...] | None]

    @property
    def plain(self) -> bool:
        """Whether there are maps, all ``[B, C, h, w]``, so that inputs of other sizes will show nothing new."""
        return bool(self.grids) and not self.ambiguous and all(layer.grid is None for layer in self.grids)


def survey(model: nn.Module, inputs: Inputs) -> Survey:
    """What there is to know of a model on inputs of this size; looked at once, then remembered.

    A network whose maps are all plain is looked at once for all sizes.
    """
    known = _known.setdefault(model, {})
    for seen in tuple(known.values()):
        if seen.plain:
            return seen
    values = inputs.values() if isinstance(inputs, Mapping) else (inputs,)
    sizes = tuple(value.shape[1:] for value in values)
    found = known.get(sizes)
    if found is None:
        if len(known) >= _SIZES_REMEMBERED:
            known.clear()
        with torch.no_grad():
            found = known[sizes] = _survey(model, blank(inputs, 2))
    return found


def recall(model: nn.Module) -> Survey | None:
    """A survey of the model on inputs of any size; None if there was none yet."""
    return next(iter(tuple(_known.get(model, {}).values())), None)


def blank(inputs: Inputs, count: int) -> Inputs:
    """A few blank images like the inputs; what is not an image or the like stays as the first sample has it."""
    return _drawn(inputs, count, torch.zeros_like)


def noise(inputs: Inputs, count: int) -> Inputs:
    """Likewise images of noise, of which all of a network has something to do; always the same."""
    generator = torch.Generator().manual_seed(0)
    return _drawn(inputs, count, lambda first: torch.randn(first.shape, generator=generator).to(first))


def _drawn(inputs: Inputs, count: int, draw: Callable[[Tensor], Tensor]) -> Inputs:
    def drawn(values: Tensor) -> Tensor:
        first = torch.cat([values[:1]] * count)
        return draw(first) if first.is_floating_point() else first

    if isinstance(inputs, Mapping):
        return {name: drawn(value) for name, value in inputs.items()}
    return drawn(inputs)


@dataclass(frozen=True)
class _Seen:
    """The last output of a module, its shape without the batch, and whether it depends on the image."""

    name: str
    module: nn.Module
    shape: tuple[int, ...]
    reached: bool

    @property
    def channels_first(self) -> bool:
        return len(self.shape) == 3 and isinstance(self.module, _CHANNELS_FIRST)

    @property
    def channels_last(self) -> bool:
        """A layer norm's subclass may work on another dimension; its length tells."""
        module = self.module
        if isinstance(module, nn.LayerNorm | nn.RMSNorm):
            own = len(module.normalized_shape) == 1 and module.normalized_shape[0] == self.shape[-1]
            return own and (type(module) in (nn.LayerNorm, nn.RMSNorm) or self.shape[0] != self.shape[-1])
        return isinstance(module, nn.Linear)


def _survey(model: nn.Module, pair: Inputs) -> Survey:
    every, attention = _outputs(model, pair)
    outputs = _of_the_image(every)
    convolved = _with_halves((s.shape[1], s.shape[2]) for s in outputs if s.channels_first)
    tokens = _token_grids(model, pair, outputs)
    first = {s.shape for s in outputs if s.channels_first}
    along_last = {s.shape for s in outputs if len(s.shape) == 3 and s.channels_last}
    last = {shape for shape in along_last if shape[:2] in convolved}
    grids: dict[Layer, Grid] = {}
    ambiguous = set()
    for seen in outputs:
        layer = Layer(seen.name, seen.module)
        if len(seen.shape) == 2:
            if seen.shape[0] in tokens:
                grid, prefix = tokens[seen.shape[0]]
                grids[replace(layer, grid=grid, prefix=prefix)] = grid
        elif seen.shape in attention.values() and not seen.channels_first:
            continue
        elif seen.channels_first or seen.shape not in last:
            rows, columns = seen.shape[1:]
            if not (tokens or along_last) or (rows, columns) in convolved:
                grids[layer] = (rows, columns)
        elif seen.channels_last or seen.shape not in first:
            grid = (seen.shape[0], seen.shape[1])
            grids[replace(layer, grid=grid)] = grid
        else:
            ambiguous.add(seen.name)
    kept = {
        layer: grid for layer, grid in grids.items() if grid[0] * grid[1] > 1 and not isinstance(layer.module, _POOLING)
    }
    return Survey(kept, frozenset(ambiguous), attention)


def _outputs(model: nn.Module, pair: Inputs) -> tuple[list[_Seen], dict[int, tuple[int, ...] | None]]:
    """The outputs that may have rows and columns, in the order in which they ended, and the attention weights."""
    order: dict[str, _Seen] = {}
    attention: dict[int, tuple[int, ...] | None] = {}
    places = count()
    given = _unknown_image(pair)

    def reached(tensor: Tensor) -> bool:
        return given is pair or bool(tensor.isnan().any())

    def see(name: str, module: nn.Module, output: Any) -> None:
        order.pop(name, None)
        tensor, _ = first_tensor(output)
        if tensor is not None and tensor.dim() in (3, 4) and len(tensor) == 2:
            order[name] = _Seen(name, module, tuple(tensor.shape[1:]), reached(tensor))

    def note(weights: Tensor) -> Tensor:
        place = next(places)
        if reached(weights):
            attention[place] = tuple(weights.shape[1:]) if len(weights) == 2 else None
        return weights

    watchers = {module: partial(see, name, module) for name, module in model.named_modules() if name}
    with watch(watchers), watch_attention(note):
        call(model, given)
    return list(order.values()), attention


def _unknown_image(pair: Inputs) -> Inputs:
    """The inputs with NaN for an image beside texts, so that all that it reaches shows it; else as they are."""
    if not isinstance(pair, Mapping) or all(value.dim() == 4 for value in pair.values()):
        return pair
    return {name: torch.full_like(value, torch.nan) if value.dim() == 4 else value for name, value in pair.items()}


def _of_the_image(outputs: Iterable[_Seen]) -> list[_Seen]:
    """The outputs that the image reaches, but for sequences of texts that look at it."""
    kept: list[_Seen] = []
    texts: set[int] = set()
    for seen in outputs:
        sequence = len(seen.shape) == 2
        if not seen.reached:
            if sequence and kept:  # what comes before the image is another matter
                texts.add(seen.shape[0])
        elif not sequence or seen.shape[0] not in texts:
            kept.append(seen)
    return kept


def _token_grids(model: nn.Module, pair: Inputs, outputs: list[_Seen]) -> dict[int, tuple[Grid, int]]:
    """Grid and number of prefix tokens by length of the sequence."""
    found: dict[int, tuple[Grid, int]] = {}
    lengths: dict[int, _Seen | None] = {}
    convolution: _Seen | None = None
    for seen in outputs:
        if isinstance(seen.module, nn.Conv2d):
            convolution = seen
        elif len(seen.shape) == 2:
            lengths.setdefault(seen.shape[0], convolution)
    for length, origin in lengths.items():
        if origin is not None and 1 < origin.shape[1] * origin.shape[2] <= length:
            along = [seen for seen in outputs if len(seen.shape) == 2 and seen.shape[0] == length]
            prefix = _prefix(model, pair, origin, along)
            if prefix is not None:
                found[length] = ((origin.shape[1], origin.shape[2]), prefix)
    halves = {rows * columns: (rows, columns) for rows, columns in _with_halves(grid for grid, _ in found.values())}
    return {n: (halves[n], 0) for n in lengths if n in halves} | found


def _prefix(model: nn.Module, pair: Inputs, origin: _Seen, along: list[_Seen]) -> int | None:
    """How many tokens come before those of a convolution's cells; None if no sequence follows the cells."""
    found: list[int] = []

    def poison(output: Tensor) -> Tensor:
        own = output.clone()
        own[0, :, 0, 0] = float("nan")
        own[1, :, -1, -1] = float("nan")
        return own

    def see(output: Any) -> None:
        tensor, _ = first_tensor(output)
        if tensor is not None and tensor.dim() == 3:
            hit = tensor.isnan().any(-1)
            if (hit.sum(1) == 1).all():
                start, end = hit.int().argmax(1).tolist()
                if end - start + 1 == origin.shape[1] * origin.shape[2]:
                    found.append(start)

    with watch({origin.module: poison, **{seen.module: see for seen in along}}):
        call(model, pair)
    return found[0] if found else None


def _with_halves(grids: Iterable[Grid]) -> set[Grid]:
    """The grids, and what halving them again and again leaves; odd sides are rounded up."""
    return {half for grid in grids for half in _halves(grid)}


def _halves(grid: Grid) -> Iterator[Grid]:
    yield grid
    while grid != (1, 1):
        grid = ((grid[0] + 1) // 2, (grid[1] + 1) // 2)
        yield grid


_known: WeakKeyDictionary[nn.Module, dict[tuple[torch.Size, ...], Survey]] = WeakKeyDictionary()

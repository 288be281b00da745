"""A layer of a model, and how its output is read as a map."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

LayersLike = str | nn.Module | Sequence[str | nn.Module] | None
"""Layers as callers give them: dotted names, modules, or lists of either; None for the automatic choice."""


class LayerError(ValueError):
    """A layer that the model does not have, or that cannot be explained."""


@dataclass(frozen=True)
class Layer:
    """A module of a model.

    Attributes:
        name: its dotted name.
        module: itself.
        grid: rows and columns, if it gives tokens ``[B, T, C]`` or keeps channels last, ``[B, h, w, C]``; None if it
            gives ``[B, C, h, w]``.
        prefix: tokens before those of the grid, such as a class token.
    """

    name: str
    module: nn.Module
    grid: tuple[int, int] | None = None
    prefix: int = 0

    def spatial(self, values: Tensor) -> Tensor:
        """A view of the layer's values as ``[B, C, h, w]``.

        Raises:
            LayerError: they have no two spatial dimensions.
        """
        if self.grid is not None and values.dim() == 3:
            rows, columns = self.grid
            patches = values.narrow(1, self.prefix, rows * columns)
            return patches.view(len(values), rows, columns, -1).permute(0, 3, 1, 2)
        if values.dim() != 4:
            raise LayerError(
                f"layer '{self.name}' gives {list(values.shape)}, in which no rows and columns were found; choose one"
                " that gives [batch, channels, height, width], [batch, height, width, channels] or a token per cell"
            )
        return values if self.grid is None else values.permute(0, 3, 1, 2)

"""Reasons: the named units of the explained layer that spoke for a target and against it."""

from collections.abc import Sequence
from operator import itemgetter
from typing import Final

from camserve.v1 import explanation_pb2 as pb
from handlers.rows import Explained, Explaining, Row, Runner
from model_store.recipe import Recipe, RecipeError
from saliency.layers import LayerError

TOP: Final = 3
"""Most reasons for a target, and most against it."""


class Reasons:
    """Names for what :mod:`saliency.contributions` finds.

    A unit's contribution is its part of gradient times activation at the explained layer, whatever the method that made
    the map. It is one to the score that is explained: of a counterfactual that is the negated one, so that, as on its
    map, units that speak against the target stand above 0.
    """

    def __init__(self, recipe: Recipe) -> None:
        """Takes the names from a model's recipe."""
        layers = recipe.units.layers if recipe.units else {}
        self._names = {layer: {index: unit.name for index, unit in units.items()} for layer, units in layers.items()}

    @property
    def layers(self) -> tuple[str, ...]:
        """Those with named units."""
        return tuple(self._names)

    def check(self, runner: Runner, example: Row) -> None:
        """Sees that the network has all the units.

        Raises:
            RecipeError: it does not; the message names the layer.
        """
        if not self._names:
            return
        try:
            (found,) = runner.explain(Explaining("grad-cam", self.layers), [example])
        except LayerError as error:
            raise RecipeError(f"units: {error}") from error
        for layer, contributions in found.contributions.items():
            count, last = contributions.shape[1], max(self._names[layer], default=0)
            if last >= count:
                raise RecipeError(f"units: layer '{layer}' has units 0 to {count - 1}, but unit {last} is given a name")

    def of(self, explained: Explained, place: int) -> Sequence[pb.Reason]:
        """The reasons for one target of a row: those for it, strongest first, then those against it, likewise."""
        values = {layer: rows[place].tolist() for layer, rows in explained.contributions.items()}
        found = [(own[unit], layer, unit) for layer, own in values.items() for unit in self._names[layer]]
        found.sort(key=itemgetter(0))
        chosen = [one for one in reversed(found[-TOP:]) if one[0] > 0] + [one for one in found[:TOP] if one[0] < 0]
        return [
            pb.Reason(name=self._names[layer][unit], unit=unit, layer=layer, contribution=contribution)
            for contribution, layer, unit in chosen
        ]

"""How many units have a name, beside what chance and a network without training come to."""

from collections.abc import Mapping

from torch import Tensor

from evaluation.dissection.concepts import CATEGORIES
from evaluation.dissection.dissection import Agreement, names
from evaluation.report.section import Column, Figure, Table

_COLUMNS = (
    Column("units", digits=0),
    Column("named", digits=0),
    *(Column(category, digits=0) for category in CATEGORIES),
    Column("concepts", digits=0),
    Column("mean IoU", digits=3),
    Column("found again %", digits=0),
)


def table(
    found: Mapping[str, Agreement],
    elsewhere: Mapping[str, Agreement],
    control: Mapping[str, Agreement],
    *,
    bound: float,
) -> Table:
    """Rows for each layer and its two controls.

    Args:
        found: of the model, by layer.
        elsewhere: of the model on other scenes.
        control: of the network without training, on the first scenes.
        bound: from which on a unit is named.
    """
    rows, apart = {}, []
    for layer, agreement in found.items():
        rows[layer] = _row(agreement.iou, bound, elsewhere[layer].iou)
        rows[f"{layer}, chance"] = _row(agreement.shuffled, bound)
        rows[f"{layer}, untrained"] = _row(control[layer].iou, bound)
        apart += [f"{layer}, chance", f"{layer}, untrained"]
    return Table(
        name="dissection",
        caption=(
            f"units whose intersection over union with a concept is at least {bound:g}, by the category of the best"
            " concept; how many concepts have a unit; the mean of all units' best; and how many names are the same on"
            " as many held-out scenes."
        ),
        columns=_COLUMNS,
        rows=rows,
        apart=apart,
    )


def _row(iou: Tensor, bound: float, elsewhere: Tensor | None = None) -> list[Figure | None]:
    named = names(iou, bound)
    concepts = [concept for concept, _ in named.values()]
    counts = [sum(concept.category == category for concept in concepts) for category in CATEGORIES]
    again = None
    if elsewhere is not None and named:
        others = names(elsewhere, bound)
        kept = [unit for unit, (concept, _) in named.items() if unit in others and others[unit][0] == concept]
        again = Figure(100 * len(kept) / len(named))
    figures = [len(iou), len(named), *counts, len(set(concepts)), iou.amax(1).mean().item()]
    return [*map(Figure, figures), again]

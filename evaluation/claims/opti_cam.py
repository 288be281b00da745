"""Is Opti-CAM ahead where its paper says so, and is our search as good as the authors'."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Final

import torch

from evaluation.claims.authors_search import AuthorsSearch
from evaluation.claims.compared import FAITHFUL, Sample
from evaluation.pictures.scenes import pictures
from evaluation.report.section import Better, Column, Figure, Section, Table
from saliency import Progress, explain
from saliency.families.opti_cam import OptiCAM

RIVALS: Final = (
    *("grad-cam", "grad-cam++", "score-cam", "layer-cam", "ablation-cam", "opti-cam", "fake-cam", "centre"),
)
"""Of the first table, with controls."""
STEPS: Final = 50
"""Of the searches whose choices are compared."""
SEARCHED: Final = 3
"""Of how many pictures one is searched by the authors' procedure too."""
VARIANTS: Final = tuple(
    f"opti-cam:steps={STEPS},objective={objective},normalization={normalization}"
    for objective, normalization in (
        *(("mask", "range"), ("mask", "max"), ("mask", "sigmoid")),
        *(("diff", "range"), ("diff", "max"), ("diff", "sigmoid")),
        *(("iomask", "range"), ("iodiff", "range")),
    )
)
"""Of the second table: objectives and normalisations, as in the paper's ablation."""


def opti_cam(sample: Sample) -> Section:
    """Compares methods, choices and searches."""
    return Section(
        name="opti-cam",
        title="Opti-CAM",
        text="The paper's claims: far ahead of other methods in average drop, gain and increase, and not in insertion"
        " and deletion; the objective mask better than diff; range normalisation near max, both better than sigmoid.",
        settings={"model": sample.classifier.name, "steps": f"100; {STEPS} where choices are compared"},
        tables=[
            sample.table("opti-cam", "Opti-CAM with its defaults beside its rivals.", RIVALS, FAITHFUL),
            sample.table("opti-cam-choices", "What is maximised, and how masks are made.", VARIANTS, FAITHFUL),
            _searches(sample),
        ],
    )


def _searches(sample: Sample) -> Table:
    """The objective that searches reach."""
    sets = [_reached(sample, number, OptiCAM().steps) for number in range(sample.sets)]
    titles = ("this search", "the authors'", "best single channel", "start: all channels alike")
    return Table(
        name="opti-cam-search",
        caption=f"The logit behind the mask after {OptiCAM().steps} steps, and how often this search reaches that,"
        f" for one of {SEARCHED} pictures; in float64, as rounding leads searches apart. {sample.over}",
        columns=[Column("logit", Better.HIGHER, 3), Column("reached or surpassed, %")],
        rows={
            title: [Figure.over([float(own[title].mean()) for own in sets]), _matched(title, sets)] for title in titles
        },
        apart=titles[1:],
        by="search",
    )


def _matched(title: str, sets: Sequence[dict[str, torch.Tensor]]) -> Figure:
    return Figure.over([100 * float((own["this search"] >= own[title] - 1e-4).float().mean()) for own in sets])


def _reached(sample: Sample, number: int, steps: int) -> dict[str, torch.Tensor]:
    classifier = replace(sample.classifier, network=deepcopy(sample.classifier.network).double())
    batch = pictures(["one-class", "two-class"], number, range(0, sample.count, SEARCHED), classifier.size)
    images = batch.images.double()
    told: list[Progress] = []
    explain(
        classifier.network,
        classifier.normalised(images),
        batch.labels.tolist(),
        "opti-cam",
        classifier.layers or None,
        black=classifier.black,
        progress=told.append,
        steps=steps,
    )
    reached = told[-1].objectives
    if reached is None:
        raise RuntimeError("Opti-CAM reports an objective with every step")
    search = AuthorsSearch(classifier, images, batch.labels)
    alike = torch.full(search.channels.shape[:2], 1 / search.channels.shape[1], dtype=torch.float64)
    with torch.no_grad():
        start = search.logits(alike)
    return {
        "this search": reached,
        "the authors'": search.run(steps),
        "best single channel": search.best_single_channel(),
        "start: all channels alike": start,
    }

"""Do maps still find what an attacked network no longer names: ``python -m evaluation.audits.adversarial``.

Selvaraju et al., "Grad-CAM" (ICCV 2017): pictures are changed so that the network is sure of a class that is not there,
and the maps of the classes that are there are asked for.
"""

import math
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Final

import torch
from torch import Tensor

from evaluation.audits.attacked import Attacked, Threat
from evaluation.audits.command import run
from evaluation.audits.overlays import COLORMAP, overlay, picture
from evaluation.classifier import Classifier
from evaluation.controls import CONTROLS
from evaluation.measures.pointing import TOLERANCE, energy_inside, pointing
from evaluation.measures.similarity import rank_correlation, ssim
from evaluation.methods import Contender
from evaluation.pictures.scenes import pictures
from evaluation.progress import Progress
from evaluation.report.section import Better, Column, Figure, Gallery, Section, Table
from saliency.faithfulness import mask_of

METHODS: Final = (
    *("input-gradient", "guided-backprop", "grad-cam", "grad-cam++", "hires-cam", "layer-cam"),
    *("score-cam:max_channels=16", "eigen-cam", "fake-cam", "centre"),
)
"""Of each family one or two, and controls."""
KINDS: Final = ("one-class", "two-class")
"""Of scenes."""
_SHOWN: Final = 3  # pictures in the gallery


@dataclass(frozen=True)
class Outcome:
    """What an attack did to the network on one set of pictures; means.

    Attributes:
        success: share of the pictures that are taken for a class that is not there, in %.
        present_before: probability of all classes that are there, in %.
        present_after: the same after the attack.
        absent_after: probability of the class that is predicted wrongly, over the pictures where one is, in %.
    """

    success: float
    present_before: float
    present_after: float
    absent_after: float

    @classmethod
    def of(cls, attacked: Attacked) -> "Outcome":
        """Of one set."""
        return cls(
            success=_percent(attacked.flipped),
            present_before=_percent((attacked.before * attacked.present).sum(1)),
            present_after=_percent((attacked.after * attacked.present).sum(1)),
            absent_after=_percent(attacked.after.amax(1)[attacked.flipped]),
        )


@dataclass(frozen=True)
class Kept:
    """What maps of the classes that are there keep, over the successful attacks on one set of pictures; means.

    Attributes:
        pointing_before: whether the maximum lies on an object of the class, in %.
        pointing_after: the same after the attack.
        energy_before: share of the map on these objects, in %.
        energy_after: the same after the attack.
        rank: rank correlation of both maps.
        structure: their SSIM.
    """

    pointing_before: float
    pointing_after: float
    energy_before: float
    energy_after: float
    rank: float
    structure: float

    @classmethod
    def of(cls, contender: Contender, classifier: Classifier, attacked: Attacked) -> "Kept":
        """Explains every class of every picture for which the attack succeeded, at least one."""
        rows, classes = (attacked.present & attacked.flipped[:, None]).nonzero().unbind(1)
        masks = attacked.truth[rows] == classes[:, None, None]
        before, after = (
            mask_of(contender.maps(classifier, images[rows], classes), classifier.size)
            for images in (attacked.clean, attacked.images)
        )
        tolerance = TOLERANCE * min(classifier.size)
        return cls(
            pointing_before=_percent(pointing(before, masks, tolerance)),
            pointing_after=_percent(pointing(after, masks, tolerance)),
            energy_before=_percent(energy_inside(before, masks)),
            energy_after=_percent(energy_inside(after, masks)),
            rank=float(rank_correlation(before, after).mean()),
            structure=float(ssim(before, after).mean()),
        )


def adversarial(
    classifier: Classifier,
    contenders: Sequence[Contender],
    *,
    images: int = 12,
    sets: int = 3,
    radius: int = 8,
    steps: int = 10,
    targeted: bool = True,
    seed: int = 0,
) -> Section:
    """Audits what maps make of attacked pictures.

    Args:
        classifier: of scenes.
        contenders: methods and controls.
        images: held-out scenes of each set.
        sets: disjoint, over which figures spread.
        radius: largest change of a pixel, in 1/255.
        steps: of PGD, each a quarter of the radius.
        targeted: at the most probable class that is not there; or away from those that are.
        seed: of PGD's start.

    Raises:
        ValueError: a method does not work on the network, or it gets no picture of a set right.
    """
    threat = Threat(radius, steps, targeted, seed)
    outcomes, kept = defaultdict(list), defaultdict(list)
    shown: list[Attacked] = []
    progress = Progress(2 * sets * len(contenders), "methods")
    for number in range(sets):
        for attacked in threat.carried_out(classifier, pictures(KINDS, number, range(images), classifier.size)):
            outcomes[attacked.attack].append(Outcome.of(attacked))
            if not attacked.flipped.any():
                progress.skip(len(contenders))
                continue
            shown.append(attacked)
            for contender in contenders:
                kept[attacked.attack, contender.name].append(Kept.of(contender, classifier, attacked))
                progress.advance(1, contender.name)
    progress.end()
    over = f"Means over {sets} disjoint sets of {images} pictures, ± their standard deviation."
    return Section(
        name="adversarial",
        title="Do maps find what an attacked network no longer names",
        text=_text(outcomes, kept, contenders, radius),
        settings={
            "model": classifier.name,
            "pictures": f"{sets} sets of {images} held-out scenes ({', '.join(KINDS)}), those with a right prediction",
            "explained": "every class that is there",
            **threat.told(),
            "pointing allows beside the object": f"{100 * TOLERANCE:g} % of the side",
        },
        tables=[
            *(_maps_table(attack, kept, contenders, over) for attack in reversed(outcomes)),
            _outcome_table(outcomes, over),
        ],
        galleries=[_gallery(classifier, contenders, shown[-1])] if shown else [],
    )


def _maps_table(
    attack: str, kept: Mapping[tuple[str, str], Sequence[Kept]], contenders: Sequence[Contender], over: str
) -> Table:
    titles = ("pointing %", "pointing %, attacked", "energy %", "energy %, attacked")
    return Table(
        name=f"adversarial-{attack.lower()}",
        caption=f"Maps of the classes that are there, before and after {attack} made the network predict one that is"
        f" not. {over}",
        columns=[
            *(Column(title, Better.HIGHER) for title in titles),
            *(Column(title, Better.HIGHER, digits=2) for title in ("rank correlation", "SSIM")),
        ],
        rows={c.name: _figures(kept[attack, c.name], Kept) for c in contenders},
    )


def _outcome_table(outcomes: Mapping[str, Sequence[Outcome]], over: str) -> Table:
    return Table(
        name="adversarial-attacks",
        caption=f"What the attacks did to the predictions. {over}",
        columns=[
            Column("success %"),
            Column("probability of what is there %"),
            Column("the same, attacked %"),
            Column("probability of what is not there %"),
        ],
        rows={attack: _figures(runs, Outcome) for attack, runs in outcomes.items()},
    )


def _figures(runs: Sequence[object], kind: type[Kept] | type[Outcome]) -> list[Figure]:
    """One per field, over the runs in which it is a number."""
    columns = ([getattr(one, field.name) for one in runs] for field in fields(kind))
    known = ([value for value in column if not math.isnan(value)] for column in columns)
    return [Figure.over(values) if values else Figure(math.nan) for values in known]


def _percent(values: Tensor) -> float:
    return 100 * float(values.double().mean())


def _gallery(classifier: Classifier, contenders: Sequence[Contender], attacked: Attacked) -> Gallery:
    rows = {}
    for index in attacked.flipped.nonzero()[:_SHOWN, 0].tolist():
        wanted = attacked.present[index] * attacked.before[index]
        explained = int(wanted.argmax())
        for state, images, probabilities in (
            ("clean", attacked.clean, attacked.before),
            ("attacked", attacked.images, attacked.after),
        ):
            image, predicted = images[index], int(probabilities[index].argmax())
            maps = (c.maps(classifier, image[None], torch.tensor([explained]))[0] for c in contenders)
            name = (
                f"{classifier.labels[explained]} {index}, {state}: seen as {classifier.labels[predicted]},"
                f" {100 * float(probabilities[index, predicted]):.0f} %"
            )
            rows[name] = [picture(image), *(overlay(image, raw) for raw in maps)]
    return Gallery(
        caption=f"Maps of a class that is there, before and after {attacked.attack}.",
        titles=["picture", *(contender.name for contender in contenders)],
        rows=rows,
        colormap=COLORMAP,
    )


def _text(
    outcomes: Mapping[str, Sequence[Outcome]],
    kept: Mapping[tuple[str, str], Sequence[Kept]],
    contenders: Sequence[Contender],
    radius: int,
) -> str:
    told = [
        f"Every pixel is changed by at most {radius}/255, so that the network predicts a class that is not in the"
        " picture. Then the maps of the classes that are in it are asked for."
    ]
    for attack, runs in outcomes.items():
        success, *_, wrong = _figures(runs, Outcome)
        told.append(
            f"{attack} succeeds for {success.mean:.0f} % of the pictures"
            + (f"; the network is then {wrong.mean:.0f} % sure of the wrong class." if success.mean else ".")
        )
    methods = [c.name for c in contenders if c.method not in CONTROLS and kept["PGD", c.name]]
    if methods:
        figures = {name: _figures(kept["PGD", name], Kept) for name in methods}
        best = max(methods, key=lambda name: figures[name][1].mean)
        most = max(methods, key=lambda name: figures[name][0].mean - figures[name][1].mean)
        told.append(
            f"{best} points best then: to what is there in {figures[best][1].mean:.0f} % of the cases, where it was"
            f" {figures[best][0].mean:.0f} % before PGD. {most} loses most, from {figures[most][0].mean:.0f} % to"
            f" {figures[most][1].mean:.0f} %."
        )
    return "\n\n".join(told)


if __name__ == "__main__":
    sys.exit(run(adversarial, __doc__, METHODS, images=12))

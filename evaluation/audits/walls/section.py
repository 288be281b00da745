"""What the audit found, as a section of a report."""

import math
from typing import Final

import numpy as np
from PIL import Image
from torch import Tensor

from camserve.rendering import overlay_picture
from evaluation.audits.overlays import COLORMAP
from evaluation.audits.overlays import picture as picture_of
from evaluation.audits.walls.audit import DRAWS, UNTRAINED, Findings, Maps
from evaluation.controls import CONTROLS
from evaluation.report.section import Better, Column, Figure, Gallery, Picture, Plot, Section, Table

_GALLERY_METHODS: Final = ("grad-cam", "score-cam", "eigen-cam", "opti-cam:steps=20", "hires-cam", "layer-cam")
_GALLERY_ROWS: Final = 5
_GALLERY_SIDE: Final = 224
"""Smaller pictures are drawn as many times larger as go into this."""


def section(findings: Findings) -> Section:
    """Tells what was found."""
    side, wall = findings.pictures.images.shape[-1], findings.wall
    hidden = side - wall
    return Section(
        name="walls",
        title="Do maps show what the model cannot see?",
        text=_text(findings),
        settings={
            "network with the wall": f"{findings.blind}, blind to rows {wall} to {side - 1} of {side}",
            "network without": findings.sighted or "none",
            "pictures": f"{findings.pictures.source}: {len(findings.pictures.above)} recognised of {findings.drawn}",
            "explained class": "that of the upper half, which the network predicts",
            "μ": "norm of the map behind the wall, divided by its norm; positive part, upsampled, min-max normalised",
            "μ of a uniform map": f"sqrt({hidden}/{side}) = {math.sqrt(hidden / side):.3f}",
            "untrained networks": f"{UNTRAINED}, with {DRAWS} draws of the dense weights each",
        },
        tables=(_main_table(findings), _untrained_table(findings)),
        plots=(_profile(findings),),
        galleries=(_gallery(findings),),
    )


def _text(findings: Findings) -> str:
    methods = {name: maps for name, maps in findings.maps.items() if name not in CONTROLS}
    blind = [name for name, maps in methods.items() if not maps.shown[:, findings.wall :].any()]
    bright = [name for name in methods if name not in blind]
    means = {name: _norm(methods[name]).mean for name in bright}
    paragraphs = [
        "A network was built that cannot see the lower strip of its image: whatever is there, not a bit of its output"
        " changes. The pictures have another class behind that wall than above it, and all that a map shows there is"
        ' false. After Taimeskhanov et al., "CAM-Based Methods Can See through Walls" (2024).'
    ]
    if blind:
        paragraphs.append(f"Exactly nothing there, in any picture: {', '.join(blind)}.")
    if bright:
        most = max(bright, key=lambda name: means[name])
        paragraphs.append(f"Something there: {', '.join(bright)}; most of all {most}, with μ = {means[most]:.3f}.")
    return "\n\n".join(paragraphs)


def _norm(maps: Maps) -> Figure:
    """μ, over those maps that show anything at all."""
    values = maps.norm[maps.norm.isfinite()].tolist()
    return Figure.over(values) if values else Figure(math.nan)


def _per_cent(shares: Tensor | None) -> Figure | None:
    return None if shares is None else Figure.over((100 * shares).tolist())


def _main_table(findings: Findings) -> Table:
    rows = {
        name: [_norm(maps), _per_cent(maps.unseen), _per_cent(maps.unseen_sighted)]
        for name, maps in findings.maps.items()
    }
    without = f"; and for {findings.sighted}, which has no wall, on the same pictures" if findings.sighted else ""
    return Table(
        name="hidden-strip",
        caption=(
            "What maps show behind the wall: μ, and the unseen share as a response tells it, on"
            f" {len(findings.pictures.above)} pictures, ± standard deviation over them{without}. Maps of zeros have no"
            " μ and are left out of it."
        ),
        columns=(
            Column("μ", Better.LOWER, 3),
            Column("unseen share %", Better.LOWER),
            Column("unseen share without wall %", Better.LOWER),
        ),
        rows=rows,
    )


def _untrained_table(findings: Findings) -> Table:
    return Table(
        name="at-initialisation",
        caption=(
            "Behind the wall of untrained networks with Gaussian weights: the mean of a map in units of the closed form"
            " for Grad-CAM's, which is therefore to be 1, and how much of it is positive, which is to be half; ±"
            f" standard deviation over {UNTRAINED} networks."
        ),
        columns=(Column("mean, of closed form", digits=3), Column("positive %")),
        rows={method: [found.ratio, found.positive] for method, found in findings.untrained.items()},
    )


def _profile(findings: Findings) -> Plot:
    return Plot(
        name="by-row",
        caption=f"Maps from top to bottom, mean of pictures and columns. The wall is at row {findings.wall}.",
        across="row in pixels",
        up="mean of the normalised map",
        lines={
            name: [(row + 0.5, value) for row, value in enumerate(maps.shown.mean((0, 2)).tolist())]
            for name, maps in findings.maps.items()
        },
    )


def _gallery(findings: Findings) -> Gallery:
    pictures = findings.pictures
    methods = [name for name in _GALLERY_METHODS if name in findings.maps]
    zoom = max(1, _GALLERY_SIDE // pictures.images.shape[-1])
    rows: dict[str, list[Picture]] = {}
    for index in range(min(_GALLERY_ROWS, len(pictures.above))):
        picture = _enlarged(picture_of(pictures.images[index]), zoom)
        box = (0.0, 0.0, float(picture.shape[1]), float(picture.shape[0]))
        # Of the map that is measured: drawn from the raw one, smoothly, the glow above would reach over the wall.
        overlays = [
            overlay_picture(picture, findings.maps[name].shown[index].numpy(), box, COLORMAP) for name in methods
        ]
        above, behind = (findings.labels[int(classes[index])] for classes in (pictures.above, pictures.behind))
        rows[f"{index + 1}: {above} above, {behind} behind"] = [
            _marked(each, zoom * findings.wall) for each in (picture, *overlays)
        ]
    return Gallery(
        caption="Maps of the object above the wall, which is the white line. What is below it cannot be seen.",
        titles=("picture", *methods),
        rows=rows,
        colormap=COLORMAP,
    )


def _enlarged(picture: Picture, zoom: int) -> Picture:
    height, width = picture.shape[:2]
    image = Image.fromarray(picture).resize((zoom * width, zoom * height), Image.Resampling.BICUBIC)
    return np.asarray(image)


def _marked(picture: Picture, row: int) -> Picture:
    """With a white line, between black ones, whose middle is the upper edge of a row."""
    marked = picture.copy()
    marked[row - 2 : row + 2] = 0
    marked[row - 1 : row + 1] = 255
    return marked

"""Plots of figures."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from benchmarks.result import Plot

mpl.use("Agg")

_COLUMNS = 2
_WIDTH, _HEIGHT = 6.0, 3.6  # inches


def draw(plots: Sequence[Plot], file: Path) -> None:
    """Draws plots side by side into one PNG."""
    columns = min(_COLUMNS, len(plots))
    rows = -(-len(plots) // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(_WIDTH * columns, _HEIGHT * rows), squeeze=False, layout="constrained"
    )
    for axis in axes.flat[len(plots) :]:
        axis.remove()
    for axis, plot in zip(axes.flat, plots, strict=False):
        (_bars if all(len(curve.points) == 1 for curve in plot.curves) else _lines)(axis, plot)
        axis.set_title(plot.title, fontsize=10, loc="left")
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, dpi=110)
    plt.close(figure)


def _bars(axis: Axes, plot: Plot) -> None:
    values = [curve.points[0][1] for curve in plot.curves]
    bars = axis.barh([curve.label for curve in plot.curves], values, color="#4c78a8")
    axis.bar_label(bars, [f"{value:.2f}" for value in values], padding=3, fontsize=8)
    axis.invert_yaxis()
    axis.set_xlabel(plot.y)
    axis.margins(x=0.12)


def _lines(axis: Axes, plot: Plot) -> None:
    for curve in plot.curves:
        axis.plot(*zip(*curve.points, strict=True), marker="o", markersize=4, label=curve.label)
    places = sorted({x for curve in plot.curves for x, _ in curve.points})
    axis.set_xscale("log", base=2)
    axis.set_xticks(places, [f"{place:g}" for place in places])
    axis.minorticks_off()
    axis.set_xlabel(plot.x)
    axis.set_ylabel(plot.y)
    axis.set_ylim(bottom=0)
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8, frameon=False)

"""From what the server answered to what the page shows."""

from math import exp, isnan

from PIL import Image

from camserve.explanation import Explanation, Faithfulness
from camserve.results import ExplainResult
from camserve.sheet import thumbnail
from camserve.source import pixels

FIGURES = ("method", "drop %", "gain %", "insertion", "deletion", "unseen %")
"""Columns of the table of figures; see ``camserve.explanation.Faithfulness``."""


def predictions(result: ExplainResult) -> dict[str, float]:
    """Label and probability, best first."""
    return {prediction.label: prediction.probability for prediction in result.predictions}


def words(explanation: Explanation, colormap: str, opacity: float) -> list[tuple[Image.Image, str]]:
    """A small overlay for each word of a caption, with the word and its probability."""
    small = thumbnail(Image.fromarray(pixels(explanation.image)))
    return [
        (
            token.heatmap.scaled(small.height, small.width).overlay(small, colormap=colormap, opacity=opacity),
            f"{token.text} ({exp(token.score):.2g})",
        )
        for token in explanation.tokens
    ]


def overlays(explanations: tuple[Explanation, ...], colormap: str, opacity: float) -> list[tuple[Image.Image, str]]:
    """An overlay for each method."""
    return [(each.overlay(colormap=colormap, opacity=opacity), each.method) for each in explanations]


def figures(explanations: tuple[Explanation, ...]) -> list[list[str]]:
    """A row of `FIGURES` for each explanation that was measured."""
    return [[each.method, *_row(each.faithfulness)] for each in explanations if each.faithfulness]


def remarks(result: ExplainResult, problems: tuple[str, ...] = ()) -> str:
    """In Markdown: what was explained, the units that spoke for it and against it, what to beware of, the time."""
    explanation, timing = result.explanation, result.timing
    target = explanation.target
    against = "against " if target.polarity == "counter" else ""
    lines = [f"**{against}{target.label}**, score {explanation.score:.4g}, {explanation.method}"]
    if explanation.layers:
        lines[0] += f" at {', '.join(explanation.layers)}"
    reasons = [f"{reason.name} ({reason.contribution:+.2g})" for reason in explanation.reasons]
    if reasons:
        lines.append(f"Units that spoke for it (+) and against it (-): {', '.join(reasons)}")
    lines += [f"⚠ {warning.message}" for warning in explanation.warnings]
    lines += [f"⚠ left out: {problem}" for problem in problems]
    lines.append(f"{1000 * timing.total:.0f} ms on the server, {1000 * timing.queue:.0f} of them in the queue")
    return "\n\n".join(lines)


def _row(figures: Faithfulness) -> list[str]:
    unseen = "unknown" if isnan(figures.unseen_share) else f"{100 * figures.unseen_share:.1f}"
    areas = (f"{figures.insertion_auc:.3f}", f"{figures.deletion_auc:.3f}")
    return [f"{figures.average_drop:.1f}", f"{figures.average_gain:.1f}", *areas, unseen]

"""Several explanations of one image, side by side."""

from collections.abc import Sequence

from PIL import Image

from camserve.explanation import Explanation
from camserve.rendering import DEFAULT_OPACITY
from camserve.sheet import Tile, contact_sheet, thumbnail
from camserve.source import pixels


def comparison_sheet(
    explanations: Sequence[Explanation], title: str = "", *, colormap: str = "", opacity: float = DEFAULT_OPACITY
) -> Image.Image:
    """Draws the image, and the map of each explanation over it with its method and target under it.

    Args:
        explanations: of one image, at least one, such as those of several methods.
        title: what stands above.
        colormap: as ``Heatmap.overlay``.
        opacity: as ``Heatmap.overlay``.

    Raises:
        ValueError: there is none, they are of several images, or an option is out of range.
    """
    if not explanations or len({explanation.image for explanation in explanations}) > 1:
        raise ValueError("explanations: expected at least one, and all of the same image")
    small = thumbnail(Image.fromarray(pixels(explanations[0].image)))
    tiles = [Tile(small, "image")]
    for explanation in explanations:
        heatmap = explanation.heatmap.scaled(small.height, small.width)
        picture = heatmap.overlay(small, colormap=colormap, opacity=opacity)
        tiles.append(Tile(picture, explanation.method, explanation.target.label))
    return contact_sheet(title, tiles)

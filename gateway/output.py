"""The forms of a map beside the native one, made where a request asks for them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from PIL import Image

from camserve import rendering
from camserve.image import ImageLimits, decode
from camserve.v1 import explanation_pb2 as pb

_FILL = (127, 127, 127)  # colour of what an input frame shows beyond the image

_Picture = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class _Frame:
    """What a rendering covers.

    Attributes:
        height: its rows, in pixels.
        width: its columns, in pixels.
        box: where the map's cells lie in it.
        picture: makes the image as it looks in this frame.
    """

    height: int
    width: int
    box: rendering.Box
    picture: Callable[[], _Picture]


class Renderer:
    """Renders the maps of one response; slow, so not for the event loop."""

    def __init__(self, image: bytes, limits: ImageLimits, input_size: pb.ImageSize) -> None:
        """Takes the encoded image, the limits under which it was admitted and the size of the model's input."""
        self._image = image
        self._limits = limits
        self._input_size = input_size

    def render(self, response: pb.ExplainResponse, forms: Iterable[pb.RenderingRequest]) -> None:
        """Adds every form to every explanation of a response."""
        for explanation in response.explanations:
            explanation.renderings.extend(
                self._rendering(form, explanation.heatmap, response.image_size) for form in forms
            )

    @cached_property
    def _pixels(self) -> _Picture:
        return decode(self._image, self._limits)

    def _rendering(self, form: pb.RenderingRequest, heatmap: pb.Heatmap, image_size: pb.ImageSize) -> pb.Rendering:
        size = form.size or pb.RENDERING_SIZE_ORIGINAL
        frame = self._frame(size, heatmap, image_size)
        values = np.frombuffer(heatmap.data, "<f4").reshape(heatmap.height, heatmap.width)
        result = pb.Rendering(format=form.format, size=size, height=frame.height, width=frame.width)
        match form.format:
            case pb.RENDERING_FORMAT_FLOAT32:
                placed = rendering.place(values, frame.box, frame.height, frame.width)
                result.data = placed.astype("<f4", copy=False).tobytes()
            case pb.RENDERING_FORMAT_UINT8:
                result.data = _levels(values, frame).tobytes()
            case pb.RENDERING_FORMAT_PNG:
                result.data = rendering.encode_png(_levels(values, frame))
            case _:
                result.colormap = form.colormap or rendering.default_colormap(values)
                result.data = rendering.encode_png(_colored(form, values, frame, result.colormap))
        return result

    def _frame(self, size: int, heatmap: pb.Heatmap, image_size: pb.ImageSize) -> _Frame:
        box = rendering.Box(heatmap.box.left, heatmap.box.top, heatmap.box.right, heatmap.box.bottom)
        if size == pb.RENDERING_SIZE_ORIGINAL:
            return _Frame(image_size.height, image_size.width, box, lambda: self._pixels)
        inner: pb.ImageSize | pb.Heatmap = self._input_size if size == pb.RENDERING_SIZE_INPUT else heatmap
        height, width = inner.height, inner.width
        whole = rendering.Box(0, 0, width, height)
        return _Frame(height, width, whole, lambda: region(self._pixels, box, height, width))


def region(image: _Picture, box: rendering.Box, height: int, width: int) -> _Picture:
    """Cuts a region out of an image and resizes it; what lies beyond the image is gray.

    Args:
        image: uint8 ``[H, W, 3]``, RGB.
        box: the region, in pixels of the image; it may reach beyond it.
        height: rows wanted.
        width: columns wanted.

    Returns:
        uint8 ``[height, width, 3]``, RGB.
    """
    rows, columns = image.shape[:2]
    left, right = max(box.left, 0.0), min(box.right, columns)
    top, bottom = max(box.top, 0.0), min(box.bottom, rows)
    across, down = width / (box.right - box.left), height / (box.bottom - box.top)
    x0, x1 = round((left - box.left) * across), round((right - box.left) * across)
    y0, y1 = round((top - box.top) * down), round((bottom - box.top) * down)
    canvas = Image.new("RGB", (width, height), _FILL)
    if x1 > x0 and y1 > y0:
        part = Image.fromarray(image).resize((x1 - x0, y1 - y0), Image.Resampling.BILINEAR, (left, top, right, bottom))
        canvas.paste(part, (x0, y0))
    return np.array(canvas)


def _levels(values: npt.NDArray[np.float32], frame: _Frame) -> _Picture:
    unit = rendering.place(rendering.normalize(values), frame.box, frame.height, frame.width)
    return np.rint(unit * 255).astype(np.uint8)


def _colored(form: pb.RenderingRequest, values: npt.NDArray[np.float32], frame: _Frame, colormap: str) -> _Picture:
    if form.format == pb.RENDERING_FORMAT_COLOR_PNG:
        return rendering.color_picture(values, frame.box, frame.height, frame.width, colormap)
    opacity = form.opacity if form.HasField("opacity") else rendering.DEFAULT_OPACITY
    return rendering.overlay_picture(frame.picture(), values, frame.box, colormap, opacity)

"""What forms of its maps a request may ask for."""

from camserve.image import ImageHeader
from camserve.rendering import COLORMAPS
from camserve.v1 import explanation_pb2 as pb
from gateway.admission.fault import Faults, fault
from gateway.admission.nearest import hint, shown
from gateway.card import Card

_MOST = 8
_BYTES_PER_PIXEL = {
    pb.RENDERING_FORMAT_FLOAT32: 4,
    pb.RENDERING_FORMAT_UINT8: 1,
    pb.RENDERING_FORMAT_PNG: 1,
    pb.RENDERING_FORMAT_OVERLAY_PNG: 3,
    pb.RENDERING_FORMAT_COLOR_PNG: 3,
}
_COLORED = (pb.RENDERING_FORMAT_OVERLAY_PNG, pb.RENDERING_FORMAT_COLOR_PNG)


def renderings(output: pb.Output) -> Faults:
    """Forms are few enough, exist, and have the knobs that they know."""
    if len(output.renderings) > _MOST:
        text = f"has {len(output.renderings)} entries; ask for {_MOST} at most"
        yield fault("output.renderings", "TOO_MANY_RENDERINGS", text)
        return
    for place, rendering in enumerate(output.renderings):
        field = f"output.renderings[{place}]"
        if rendering.format not in _BYTES_PER_PIXEL:
            yield fault(f"{field}.format", "RENDERING_FORMAT_UNKNOWN", f"is {_format(rendering)}; choose a format")
            continue
        if rendering.size not in pb.RenderingSize.values():
            yield fault(f"{field}.size", "RENDERING_SIZE_UNKNOWN", f"is {rendering.size}, which is no size")
        yield from _color(rendering, field)


def volume(request: pb.ExplainRequest, header: ImageHeader, card: Card, limit: int) -> Faults:
    """All forms of all maps together fit into a response of so many bytes."""
    pixels = {
        pb.RENDERING_SIZE_UNSPECIFIED: header.width * header.height,
        pb.RENDERING_SIZE_ORIGINAL: header.width * header.height,
        pb.RENDERING_SIZE_INPUT: card.model.input_size.height * card.model.input_size.width,
    }
    forms = request.output.renderings
    each = sum(pixels.get(form.size, 0) * _BYTES_PER_PIXEL.get(form.format, 0) for form in forms)
    total = each * max(len(request.targets), 1)
    if total > limit:
        text = (
            f"come to {total} bytes before compression, above the limit of {limit}; ask for fewer, for a smaller size, "
            "or for fewer targets"
        )
        yield fault("output.renderings", "RENDERINGS_TOO_LARGE", text)


def _color(rendering: pb.RenderingRequest, field: str) -> Faults:
    if rendering.colormap and rendering.format not in _COLORED:
        yield fault(
            f"{field}.colormap", "COLORMAP_NOT_APPLICABLE", f"has no meaning for {_format(rendering)}; leave it out"
        )
    elif rendering.colormap and rendering.colormap not in COLORMAPS:
        text = f"is {shown(rendering.colormap)}, which is no colormap{hint(rendering.colormap, COLORMAPS)}"
        yield fault(f"{field}.colormap", "COLORMAP_UNKNOWN", text)
    if not rendering.HasField("opacity"):
        return
    if rendering.format != pb.RENDERING_FORMAT_OVERLAY_PNG:
        yield fault(
            f"{field}.opacity", "OPACITY_NOT_APPLICABLE", f"has no meaning for {_format(rendering)}; leave it out"
        )
    elif not 0 <= rendering.opacity <= 1:
        yield fault(f"{field}.opacity", "OPACITY_OUT_OF_BOUNDS", f"is {rendering.opacity:g}; choose 0 to 1")


def _format(rendering: pb.RenderingRequest) -> str:
    known = rendering.format in pb.RenderingFormat.values()
    return pb.RenderingFormat.Name(rendering.format) if known else str(rendering.format)

import io
from itertools import product

import numpy as np
import pytest
from PIL import Image

from camserve import rendering
from camserve.image import ImageLimits
from camserve.v1 import explanation_pb2 as pb
from gateway.output import Renderer, region
from tests.gateway.client import Gateway, picture
from tests.gateway.torchserve import MAP, heatmap

FORMATS = [value for value in pb.RenderingFormat.values() if value != pb.RENDERING_FORMAT_UNSPECIFIED]
SIZES = {
    pb.RENDERING_SIZE_UNSPECIFIED: (24, 32),
    pb.RENDERING_SIZE_ORIGINAL: (24, 32),
    pb.RENDERING_SIZE_INPUT: (8, 8),
    pb.RENDERING_SIZE_NATIVE: (2, 2),
}
WHOLE = pb.Box(right=32, bottom=24)


def render(
    form: pb.RenderingRequest,
    values: np.ndarray[tuple[int, int], np.dtype[np.float32]] = MAP,
    box: pb.Box = WHOLE,
) -> pb.Rendering:
    """One form of a map of a green image of 32 x 24 pixels, for a model with an input of 8 x 8."""
    response = pb.ExplainResponse(
        explanations=[pb.Explanation(heatmap=heatmap(values, box))], image_size=pb.ImageSize(height=24, width=32)
    )
    renderer = Renderer(picture(32, 24), ImageLimits(), pb.ImageSize(height=8, width=8))
    renderer.render(response, [form])
    [result] = response.explanations[0].renderings
    return result


def pixels(result: pb.Rendering) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    with Image.open(io.BytesIO(result.data)) as image:
        assert image.format == "PNG"
        return np.array(image)


@pytest.mark.parametrize(("format_", "size"), list(product(FORMATS, SIZES)))
def test_every_form(format_: pb.RenderingFormat.ValueType, size: pb.RenderingSize.ValueType) -> None:
    result = render(pb.RenderingRequest(format=format_, size=size))
    height, width = SIZES[size]
    assert (result.format, result.size) == (format_, size or pb.RENDERING_SIZE_ORIGINAL)
    assert (result.height, result.width) == (height, width)
    placed = rendering.resize(MAP, height, width)
    if format_ == pb.RENDERING_FORMAT_FLOAT32:
        np.testing.assert_array_equal(np.frombuffer(result.data, "<f4").reshape(height, width), placed)
    elif format_ == pb.RENDERING_FORMAT_UINT8:
        levels = np.frombuffer(result.data, np.uint8).reshape(height, width)
        np.testing.assert_allclose(levels, placed / 3 * 255, atol=0.501)
    elif format_ == pb.RENDERING_FORMAT_PNG:
        np.testing.assert_allclose(pixels(result), placed / 3 * 255, atol=0.501)
    else:
        assert result.colormap == "turbo"
        assert pixels(result).shape == (height, width, 3)


def test_a_map_is_nought_where_the_model_sees_nothing() -> None:
    form = pb.RenderingRequest(format=pb.RENDERING_FORMAT_FLOAT32)
    data = np.frombuffer(render(form, MAP + 1, pb.Box(left=4, right=28, bottom=24)).data, "<f4").reshape(24, 32)
    assert not data[:, :4].any()
    assert not data[:, 28:].any()
    assert data[:, 4:28].all()


def test_a_map_with_negative_values_is_coloured_about_zero() -> None:
    form = pb.RenderingRequest(format=pb.RENDERING_FORMAT_COLOR_PNG, size=pb.RENDERING_SIZE_NATIVE)
    result = render(form, np.array([[-1, 0], [0, 3]], dtype="<f4"))
    assert result.colormap == "coolwarm"
    table = rendering.COLORMAPS["coolwarm"]
    np.testing.assert_array_equal(pixels(result)[0, 1], table[128])
    np.testing.assert_array_equal(pixels(result)[1, 1], table[255])


@pytest.mark.parametrize("size", SIZES)
def test_an_overlay_keeps_to_its_opacity(size: pb.RenderingSize.ValueType) -> None:
    form = pb.RenderingRequest(format=pb.RENDERING_FORMAT_OVERLAY_PNG, size=size, colormap="gray", opacity=0)
    assert (pixels(render(form)) == (10, 200, 30)).all()
    form.opacity = 1
    gray = pixels(render(form))
    assert (gray[..., 0] == gray[..., 1]).all()


def test_an_overlay_on_a_padded_input_shows_gray_beyond_the_image() -> None:
    form = pb.RenderingRequest(format=pb.RENDERING_FORMAT_OVERLAY_PNG, size=pb.RENDERING_SIZE_INPUT, opacity=0)
    shown = pixels(render(form, box=pb.Box(top=-4, right=32, bottom=28)))
    assert (shown[[0, -1]] == 127).all()
    assert (shown[1:-1] == (10, 200, 30)).all()


def test_a_region_is_cut_where_the_box_says() -> None:
    image = np.zeros((10, 20, 3), np.uint8)
    image[:, 10:] = 255
    assert (region(image, rendering.Box(12, 0, 20, 10), 5, 5) == 255).all()
    assert (region(image, rendering.Box(0, 0, 8, 10), 5, 5) == 0).all()
    assert (region(image, rendering.Box(-30, 0, -20, 10), 5, 5) == 127).all()


async def test_forms_come_in_the_order_of_the_request(gateway: Gateway) -> None:
    request = pb.ExplainRequest(model="shapes", image=picture(64, 48))
    request.targets.add().class_target.index = 0
    request.targets.add().class_target.index = 1
    for format_ in reversed(FORMATS):
        request.output.renderings.add(format=format_)
    response = await gateway.stub.Explain(request)
    assert len(response.explanations) == 2
    for explanation in response.explanations:
        assert [form.format for form in explanation.renderings] == FORMATS[::-1]
        assert {(form.height, form.width) for form in explanation.renderings} == {(48, 64)}

"""Responses of all three tasks become Python values with nothing lost."""

from dataclasses import replace
from math import exp, isnan, log, nan
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from PIL import Image

from camserve.explanation import Explanation, Faithfulness, MapWarning, Reason, Rendering
from camserve.heatmap import Heatmap
from camserve.models import Model
from camserve.prediction import ExplainedTarget, Prediction
from camserve.rendering import Box, encode_png
from camserve.results import ExplainResult
from camserve.v1 import explanation_pb2 as pb

PICTURE = encode_png(np.full((20, 30, 3), 200, dtype=np.uint8))


def heatmap(values: object, box: tuple[float, float, float, float] = (0, 0, 30, 20)) -> pb.Heatmap:
    array = np.asarray(values, dtype="<f4")
    left, top, right, bottom = box
    return pb.Heatmap(
        height=array.shape[0],
        width=array.shape[1],
        data=array.tobytes(),
        box=pb.Box(left=left, top=top, right=right, bottom=bottom),
    )


def test_predictions_of_all_tasks() -> None:
    circle = pb.ClassPrediction(index=0, label="circle", probability=0.5, logit=2)
    assert Prediction.from_proto(pb.Prediction(class_prediction=circle)) == Prediction(
        "class", "circle", 0.5, 2, index=0
    )
    caption = pb.CaptionPrediction(text="a dog", log_probability=-2)
    assert Prediction.from_proto(pb.Prediction(caption=caption)) == Prediction("caption", "a dog", exp(-2), -2)
    answer = pb.AnswerPrediction(question="what?", answer="red", probability=0.5)
    expected = Prediction("answer", "red", 0.5, None, question="what?")
    assert Prediction.from_proto(pb.Prediction(answer=answer)) == expected
    answer.logit = 0
    assert Prediction.from_proto(pb.Prediction(answer=answer)).score == 0


def test_targets_of_all_tasks() -> None:
    circle = pb.ResolvedClass(index=0, label="circle", probability=0.5, against=[2])
    target = pb.ResolvedTarget(class_target=circle, polarity=pb.POLARITY_COUNTER)
    expected = ExplainedTarget("class", "circle", "counter", probability=0.5, index=0, against=(2,))
    assert ExplainedTarget.from_proto(target) == expected
    target = pb.ResolvedTarget(caption=pb.ResolvedCaption(text="a dog", unknown_words=["dog"]))
    assert ExplainedTarget.from_proto(target) == ExplainedTarget("caption", "a dog", "support", unknown_words=("dog",))
    target = pb.ResolvedTarget(answer=pb.ResolvedAnswer(question="what?", answer="red", probability=0.25))
    expected = ExplainedTarget("answer", "red", "support", probability=0.25, question="what?")
    assert ExplainedTarget.from_proto(target) == expected


def test_an_explanation_with_all_its_parts() -> None:
    proto = pb.Explanation(
        target=pb.ResolvedTarget(caption=pb.ResolvedCaption(text="a dog")),
        score=log(0.5),
        heatmap=heatmap([[0, 1]]),
        tokens=[pb.TokenMap(text="dog", start=1, end=2, score=-1, heatmap=heatmap([[1, 0]], (0, 0, 30, 20)))],
        faithfulness=pb.Faithfulness(average_drop=10, average_gain=5, increase=True, insertion_auc=0.5),
        reasons=[pb.Reason(name="stripes", unit=3, layer="trunk", contribution=-0.5)],
        method="opti-cam",
        layers=["trunk"],
        steps_done=0,
        warnings=[
            pb.Warning(code=pb.WARNING_CODE_FLAT_MAP, message="flat"),
            pb.Warning(code=cast(pb.WarningCode.ValueType, 99), message="new"),
        ],
    )
    explanation = Explanation.from_proto(proto, PICTURE, (20, 30))
    (token,) = explanation.tokens
    assert (token.text, token.start, token.end, token.score) == ("dog", 1, 2, -1)
    np.testing.assert_array_equal(token.heatmap.values, [[1, 0]])
    assert explanation.faithfulness == Faithfulness(10, 5, True, 0.5, 0, 0)
    assert explanation.reasons == (Reason("stripes", 3, "trunk", -0.5),)
    assert explanation.steps_done == 0
    assert explanation.warnings == (MapWarning("flat_map", "flat"), MapWarning("99", "new"))
    assert explanation.overlay().size == (30, 20)


def test_what_cannot_be_told_of_the_unseen_is_not_a_number() -> None:
    proto = pb.Explanation(heatmap=heatmap([[0, 1]]), faithfulness=pb.Faithfulness(unseen_share=nan))
    figures = Explanation.from_proto(proto, PICTURE, (20, 30)).faithfulness
    assert figures is not None
    assert isnan(figures.unseen_share)
    proto.warnings.add(code=pb.WARNING_CODE_NOT_MEASURED)
    assert Explanation.from_proto(proto, PICTURE, (20, 30)).warnings[0].code == "not_measured"


def test_a_heatmap_scales_with_its_image() -> None:
    placed = Heatmap.from_proto(heatmap([[0, 1, 0], [0, 0, 7]], (5, 0, 25, 20)), (20, 30))
    smaller = placed.scaled(10, 60)
    assert (smaller.box, smaller.image_size) == (Box(10, 0, 50, 10), (10, 60))
    np.testing.assert_array_equal(smaller.values, placed.values)
    assert placed.box == Box(5, 0, 25, 20)


def _words(*words: str) -> Explanation:
    tokens = [
        pb.TokenMap(
            text=word, start=place, end=place + 1, score=-1, heatmap=heatmap(np.eye(4)[place % 4 : place % 4 + 1])
        )
        for place, word in enumerate(words)
    ]
    target = pb.ResolvedTarget(caption=pb.ResolvedCaption(text=" ".join(words)))
    proto = pb.Explanation(target=target, score=-2, heatmap=heatmap([[0, 1]]), tokens=tokens)
    return Explanation.from_proto(proto, PICTURE, (20, 30))


def test_a_sheet_has_the_overlay_of_every_word(tmp_path: Path) -> None:
    explanation = _words("a", "dog")
    path = tmp_path / "words.png"
    sheet = np.asarray(explanation.words_sheet(path, colormap="gray", opacity=1))
    np.testing.assert_array_equal(np.asarray(Image.open(path)), sheet)
    gray = (sheet == sheet[..., :1]).all(-1)
    first = (
        explanation.tokens[0]
        .heatmap.scaled(149, 224)
        .overlay(np.zeros((149, 224, 3), np.uint8), colormap="gray", opacity=1)
    )
    windows = np.lib.stride_tricks.sliding_window_view(sheet[..., 0], (149, 224))
    assert gray.any()
    pixels = np.asarray(first)[..., 0]
    places = np.argwhere((windows[:, :, 0] == pixels[0]).all(-1))  # where the first row of pixels is
    assert sum((windows[tuple(place)] == pixels).all() for place in places) == 1


def test_a_sheet_has_even_rows_of_six_at_most() -> None:
    sizes = [_words(*["dog"] * count).words_sheet().size for count in (1, 5, 6, 12)]  # tiles: 2, 6, 7, 13
    (width, height), *others = sizes
    row = others[1][1] - height
    assert [(w - width, h - height) for w, h in others] == [(4 * 240, 0), (2 * 240, row), (3 * 240, 2 * row)]


def test_a_sheet_of_any_words_and_any_shape_of_picture() -> None:
    long = _words("donaudampfschifffahrtsgesellschaft" * 3, "红色的圆", *["word"] * 30).words_sheet()
    assert long.mode == "RGB"
    tall = encode_png(np.zeros((600, 12, 3), dtype=np.uint8))
    explanation = replace(_words("dog"), image=tall, heatmap=Heatmap.from_proto(heatmap([[0, 1]]), (600, 12)))
    token = replace(explanation.tokens[0], heatmap=Heatmap.from_proto(heatmap([[0, 1]]), (600, 12)))
    assert replace(explanation, tokens=(token,)).words_sheet().height < 600


def test_without_maps_of_words_there_is_no_sheet_of_them() -> None:
    with pytest.raises(ValueError, match="per_token=True"):
        _words().words_sheet()


def test_what_is_absent_is_none() -> None:
    explanation = Explanation.from_proto(pb.Explanation(heatmap=heatmap([[0, 1]])), PICTURE, (20, 30))
    assert explanation.faithfulness is None
    assert explanation.steps_done is None


def test_a_heatmap_knows_its_place() -> None:
    placed = Heatmap.from_proto(heatmap([[0, 1, 0], [0, 0, 7]], (5, 0, 25, 20)), (20, 30))
    assert placed.box == Box(5, 0, 25, 20)
    assert placed.values.dtype == np.float32
    assert placed.peak() == pytest.approx((5 + 2.5 * 20 / 3, 15))
    on_image = placed.on_image()
    assert on_image.shape == (20, 30)
    assert on_image[19, 24] == pytest.approx(7)
    assert (on_image[:, :5] == 0).all()
    assert (on_image[:, 25:] == 0).all()


def test_an_overlay_needs_the_image_that_was_explained() -> None:
    placed = Heatmap.from_proto(heatmap([[0, 1]]), (20, 30))
    with pytest.raises(ValueError, match=r"expected height and width \(20, 30\), got \(30, 20\)"):
        placed.overlay(np.zeros((30, 20, 3), dtype=np.uint8))


@pytest.mark.parametrize("dtype", ["<f4", "u1"])
def test_raw_renderings(dtype: str) -> None:
    values = np.arange(6, dtype=dtype).reshape(2, 3)
    rendering = Rendering("float32" if dtype == "<f4" else "uint8", "native", 2, 3, values.tobytes())
    np.testing.assert_array_equal(rendering.array(), values)


def test_encoded_renderings() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (2, 3, 3), dtype=np.uint8)
    np.testing.assert_array_equal(Rendering("overlay_png", "native", 2, 3, encode_png(picture)).array(), picture)


def test_timing_is_in_seconds() -> None:
    response = pb.ExplainResponse(timing=pb.Timing(pack_size=3))
    response.timing.queue.FromMicroseconds(1500)
    response.timing.total.FromMilliseconds(20)
    timing = ExplainResult.from_proto(response, PICTURE).timing
    assert (timing.queue, timing.total, timing.forward, timing.pack_size) == (0.0015, 0.02, 0, 3)


def test_results_show_no_bytes() -> None:
    response = pb.ExplainResponse(explanations=[pb.Explanation(heatmap=heatmap([[0, 1]]))])
    assert "PNG" not in repr(ExplainResult.from_proto(response, PICTURE))


def test_a_model_of_a_newer_server() -> None:
    assert Model.from_proto(pb.Model(task=cast(pb.Task.ValueType, 77))).task == "77"

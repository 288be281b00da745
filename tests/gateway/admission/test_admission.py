from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import pytest
import pytest_asyncio

from camserve.errors import FailedPreconditionError
from camserve.v1 import explanation_pb2 as pb
from gateway.admission.admission import Admission
from gateway.card import Card
from gateway.catalog import Catalog
from gateway.fleet import Fleet
from gateway.metrics import Metrics
from gateway.upstream import ModelRef, TorchServe
from tests.gateway.client import SETTINGS, Gateway, picture, refused, running_gateway
from tests.gateway.torchserve import MODEL, FakeTorchServe

pytestmark = pytest.mark.asyncio(loop_scope="module")

INVALID = grpc.StatusCode.INVALID_ARGUMENT
NOT_FOUND = grpc.StatusCode.NOT_FOUND

Change = Callable[[Any], Any]
Refusal = tuple[grpc.StatusCode, str, str]  # code, reason and field


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def torchserve() -> AsyncIterator[FakeTorchServe]:
    async with FakeTorchServe() as fake:
        yield fake


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(torchserve: FakeTorchServe) -> AsyncIterator[Gateway]:
    async with running_gateway(torchserve) as running:
        yield running


def target(**fields: Any) -> Change:
    return lambda request: request.targets.add(class_target=pb.ClassTarget(**fields))


def rendering(**fields: Any) -> Change:
    return lambda request: request.output.renderings.add(**fields)


def opti_cam(**options: Any) -> Change:
    return lambda request: request.MergeFrom(pb.ExplainRequest(method="opti-cam", options=pb.MethodOptions(**options)))


def merge(**fields: Any) -> Change:
    return lambda request: request.MergeFrom(type(request)(**fields))


OVERLAY, PNG = pb.RENDERING_FORMAT_OVERLAY_PNG, pb.RENDERING_FORMAT_PNG

EXPLAIN_REFUSALS: list[tuple[Change, Refusal]] = [
    (merge(model="shape"), (NOT_FOUND, "MODEL_UNKNOWN", "model")),
    (merge(version="7"), (NOT_FOUND, "VERSION_UNKNOWN", "version")),
    (lambda request: request.ClearField("model"), (INVALID, "MODEL_REQUIRED", "model")),
    (merge(method="grad-cm"), (NOT_FOUND, "METHOD_UNKNOWN", "method")),
    (lambda request: request.ClearField("image"), (INVALID, "IMAGE_EMPTY", "image")),
    (merge(image=b"just some text, long enough to be read"), (INVALID, "IMAGE_NOT_RECOGNISED", "image")),
    (merge(image=picture()[:20]), (INVALID, "IMAGE_TRUNCATED", "image")),
    (merge(image=picture(1, 1)), (INVALID, "IMAGE_TOO_SMALL", "image")),
    (merge(image=picture(1200, 900)), (INVALID, "IMAGE_TOO_MANY_PIXELS", "image")),
    (merge(image=picture(2001, 100)), (INVALID, "IMAGE_SIDE_TOO_LONG", "image")),
    (merge(image=picture(1000, 16)), (INVALID, "IMAGE_ASPECT_RATIO", "image")),
    (merge(image=picture() + bytes(16 * 1024 * 1024)), (INVALID, "IMAGE_TOO_LARGE", "image")),
    (merge(targets=[pb.Target()]), (INVALID, "TARGET_EMPTY", "targets[0]")),
    (target(), (INVALID, "TARGET_EMPTY", "targets[0].class_target")),
    (target(index=4), (INVALID, "CLASS_OUT_OF_RANGE", "targets[0].class_target.index")),
    (target(index=-1), (INVALID, "CLASS_OUT_OF_RANGE", "targets[0].class_target.index")),
    (target(rank=4), (INVALID, "CLASS_OUT_OF_RANGE", "targets[0].class_target.rank")),
    (target(label="sqare"), (INVALID, "LABEL_UNKNOWN", "targets[0].class_target.label")),
    (target(label="", against=[1]), (INVALID, "LABEL_UNKNOWN", "targets[0].class_target.label")),
    (target(label="x" * 100_000), (INVALID, "LABEL_UNKNOWN", "targets[0].class_target.label")),
    (target(label="star"), (INVALID, "LABEL_AMBIGUOUS", "targets[0].class_target.label")),
    (target(index=0, against=[1, 9]), (INVALID, "CLASS_OUT_OF_RANGE", "targets[0].class_target.against[1]")),
    (target(index=0, against=[0]), (INVALID, "CONTRAST_WITH_ITSELF", "targets[0].class_target.against[0]")),
    (target(label="circle", against=[0]), (INVALID, "CONTRAST_WITH_ITSELF", "targets[0].class_target.against[0]")),
    (target(rank=0, against=[1] * 5), (INVALID, "TOO_MANY_CONTRASTS", "targets[0].class_target.against")),
    (merge(targets=[pb.Target(class_target=pb.ClassTarget(rank=0))] * 5), (INVALID, "TOO_MANY_TARGETS", "targets")),
    (
        merge(targets=[pb.Target(caption=pb.CaptionTarget(text="a star"))]),
        (INVALID, "TARGET_KIND_MISMATCH", "targets[0].caption"),
    ),
    (
        merge(targets=[pb.Target(answer=pb.AnswerTarget(question="what?"))]),
        (INVALID, "TARGET_KIND_MISMATCH", "targets[0].answer"),
    ),
    (merge(layers=["trnk"]), (INVALID, "LAYER_UNKNOWN", "layers[0]")),
    (merge(layers=["trunk", "trunk"]), (INVALID, "LAYER_REPEATED", "layers[1]")),
    (merge(layers=["stem", "trunk", "stem"]), (INVALID, "TOO_MANY_LAYERS", "layers")),
    (merge(polarity=7), (INVALID, "POLARITY_UNKNOWN", "polarity")),
    (merge(options=pb.MethodOptions(steps=3)), (INVALID, "OPTION_UNKNOWN", "options.steps")),
    (opti_cam(samples=3), (INVALID, "OPTION_UNKNOWN", "options.samples")),
    (opti_cam(steps=0), (INVALID, "OPTION_OUT_OF_BOUNDS", "options.steps")),
    (opti_cam(steps=501), (INVALID, "OPTION_OUT_OF_BOUNDS", "options.steps")),
    (opti_cam(learning_rate=float("nan")), (INVALID, "OPTION_OUT_OF_BOUNDS", "options.learning_rate")),
    (opti_cam(learning_rate=float("inf")), (INVALID, "OPTION_OUT_OF_BOUNDS", "options.learning_rate")),
    (opti_cam(objective="prob"), (INVALID, "OPTION_OUT_OF_BOUNDS", "options.objective")),
    (opti_cam(budget={"nanos": 9_000_000}), (INVALID, "OPTION_OUT_OF_BOUNDS", "options.budget")),
    (opti_cam(budget={"seconds": 301}), (INVALID, "OPTION_OUT_OF_BOUNDS", "options.budget")),
    (opti_cam(budget={"seconds": -1}), (INVALID, "OPTION_OUT_OF_BOUNDS", "options.budget")),
    (rendering(), (INVALID, "RENDERING_FORMAT_UNKNOWN", "output.renderings[0].format")),
    (rendering(format=77), (INVALID, "RENDERING_FORMAT_UNKNOWN", "output.renderings[0].format")),
    (rendering(format=PNG, size=9), (INVALID, "RENDERING_SIZE_UNKNOWN", "output.renderings[0].size")),
    (rendering(format=OVERLAY, colormap="turb"), (INVALID, "COLORMAP_UNKNOWN", "output.renderings[0].colormap")),
    (rendering(format=PNG, colormap="turbo"), (INVALID, "COLORMAP_NOT_APPLICABLE", "output.renderings[0].colormap")),
    (rendering(format=OVERLAY, opacity=1.5), (INVALID, "OPACITY_OUT_OF_BOUNDS", "output.renderings[0].opacity")),
    (
        rendering(format=OVERLAY, opacity=float("nan")),
        (INVALID, "OPACITY_OUT_OF_BOUNDS", "output.renderings[0].opacity"),
    ),
    (rendering(format=PNG, opacity=0.5), (INVALID, "OPACITY_NOT_APPLICABLE", "output.renderings[0].opacity")),
    (
        lambda request: request.output.renderings.extend([pb.RenderingRequest(format=PNG)] * 9),
        (INVALID, "TOO_MANY_RENDERINGS", "output.renderings"),
    ),
    (
        lambda request: (
            merge(image=picture(1000, 1000), targets=[pb.Target(class_target=pb.ClassTarget(rank=0))] * 4)(request),
            request.output.renderings.extend([pb.RenderingRequest(format=pb.RENDERING_FORMAT_FLOAT32)] * 5),
        ),
        (INVALID, "RENDERINGS_TOO_LARGE", "output.renderings"),
    ),
    (merge(request_id="é"), (INVALID, "REQUEST_ID_INVALID", "request_id")),
    (merge(request_id="a\n"), (INVALID, "REQUEST_ID_INVALID", "request_id")),
    (merge(request_id="a" * 129), (INVALID, "REQUEST_ID_INVALID", "request_id")),
]


@pytest.mark.parametrize(("change", "refusal"), EXPLAIN_REFUSALS)
async def test_explain_refuses(gateway: Gateway, torchserve: FakeTorchServe, change: Change, refusal: Refusal) -> None:
    request = pb.ExplainRequest(model="shapes", image=picture())
    change(request)
    packs = len(torchserve.packs)
    error = await refused(gateway.stub.Explain(request))
    assert (error.code, error.reason, error.violations[0].field) == refusal
    assert error.message.startswith(error.violations[0].field)
    assert len(error.message) < 400
    assert len(torchserve.packs) == packs


PREDICT_REFUSALS: list[tuple[Change, Refusal]] = [
    (merge(model="none"), (NOT_FOUND, "MODEL_UNKNOWN", "model")),
    (lambda request: request.ClearField("model"), (INVALID, "MODEL_REQUIRED", "model")),
    (merge(image=b"no image"), (INVALID, "IMAGE_NOT_RECOGNISED", "image")),
    (merge(top_k=0), (INVALID, "TOP_K_OUT_OF_BOUNDS", "top_k")),
    (merge(top_k=101), (INVALID, "TOP_K_OUT_OF_BOUNDS", "top_k")),
    (merge(question="what?"), (INVALID, "QUESTION_NOT_APPLICABLE", "question")),
    (merge(request_id="\x7f"), (INVALID, "REQUEST_ID_INVALID", "request_id")),
]


@pytest.mark.parametrize(("change", "refusal"), PREDICT_REFUSALS)
async def test_predict_refuses(gateway: Gateway, torchserve: FakeTorchServe, change: Change, refusal: Refusal) -> None:
    request = pb.PredictRequest(model="shapes", image=picture())
    change(request)
    packs = len(torchserve.packs)
    error = await refused(gateway.stub.Predict(request))
    assert (error.code, error.reason, error.violations[0].field) == refusal
    assert len(torchserve.packs) == packs


async def test_all_that_is_wrong_is_named_in_one_answer(gateway: Gateway) -> None:
    request = pb.ExplainRequest(model="shapes", image=b"x", layers=["trnk"], options=pb.MethodOptions(steps=1))
    error = await refused(gateway.stub.Explain(request))
    assert [violation.field for violation in error.violations] == ["image", "layers[0]", "options.steps"]
    error = await refused(gateway.stub.Explain(pb.ExplainRequest()))
    assert [violation.field for violation in error.violations] == ["model", "image"]


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        (merge(model="shape"), "nearest: shapes"),
        (merge(method="gradcan"), "nearest: grad-cam"),
        (merge(layers=["trnk"]), "nearest: trunk"),
        (target(label="sqare"), "nearest: square"),
        (rendering(format=OVERLAY, colormap="turb"), "nearest: turbo"),
        (opti_cam(samples=3), "nearest: steps"),
        (opti_cam(steps=501), "choose 1 to 500"),
        (opti_cam(objective="prob"), "choose one of probability, logit"),
        (target(label="star"), "classes 2, 3"),
    ],
)
async def test_the_message_names_the_remedy(gateway: Gateway, change: Change, hint: str) -> None:
    request = pb.ExplainRequest(model="shapes", image=picture())
    change(request)
    assert hint in (await refused(gateway.stub.Explain(request))).message


@pytest.mark.parametrize(
    "change",
    [
        merge(version="1", method="gradcam", layers=["stem", "trunk"], polarity=pb.POLARITY_COUNTER),
        opti_cam(steps=500, learning_rate=0.5, objective="logit", budget={"seconds": 300}),
        target(index=0, against=[1, 3]),
        target(label="CIRCLE"),
        target(rank=3),
        rendering(format=OVERLAY, colormap="jet", opacity=0.0),
    ],
)
async def test_what_is_right_is_admitted(gateway: Gateway, change: Change) -> None:
    request = pb.ExplainRequest(model="shapes", image=picture())
    change(request)
    assert (await gateway.stub.Explain(request)).model == "shapes"


def _model_of(task: "pb.Task.ValueType", *labels: str) -> pb.Model:
    model = pb.Model()
    model.CopyFrom(MODEL)
    model.task = task
    del model.labels[:]
    model.labels.extend(labels)
    return model


def _caption(text: str = "", **fields: Any) -> pb.Target:
    return pb.Target(caption=pb.CaptionTarget(text=text, **fields))


def _answer(question: str, answer: str = "") -> pb.Target:
    return pb.Target(answer=pb.AnswerTarget(question=question, answer=answer))


async def test_a_captioner_takes_captions() -> None:
    async with FakeTorchServe(_model_of(pb.TASK_CAPTION)) as captioner, running_gateway(captioner) as gateway:
        for targets in ([], [_caption()], [_caption("红色的圆"), _caption("a star", per_token=True)]):
            request = pb.ExplainRequest(model="shapes", image=picture(), targets=targets)
            assert (await gateway.stub.Explain(request)).model == "shapes"
        refusals = [
            (_caption("x" * 21), "TEXT_TOO_LONG", "targets[0].caption.text"),
            (_caption("  "), "TEXT_BLANK", "targets[0].caption.text"),
            (_caption("a\tstar"), "TEXT_HAS_CONTROL_CHARACTERS", "targets[0].caption.text"),
            (_caption("a star\0"), "TEXT_HAS_CONTROL_CHARACTERS", "targets[0].caption.text"),
            (_caption("a\u2028[PID]1"), "TEXT_HAS_CONTROL_CHARACTERS", "targets[0].caption.text"),
            (_caption("\x85"), "TEXT_BLANK", "targets[0].caption.text"),
            (_answer("what?"), "TARGET_KIND_MISMATCH", "targets[0].answer"),
            (pb.Target(class_target=pb.ClassTarget(index=0)), "TARGET_KIND_MISMATCH", "targets[0].class_target"),
            (pb.Target(), "TARGET_EMPTY", "targets[0]"),
        ]
        for target, reason, field in refusals:
            error = await refused(
                gateway.stub.Explain(pb.ExplainRequest(model="shapes", image=picture(), targets=[target]))
            )
            assert (error.code, error.reason, error.violations[0].field) == (INVALID, reason, field)
        error = await refused(gateway.stub.Predict(pb.PredictRequest(model="shapes", image=picture(), top_k=2)))
        assert error.reason == "TOP_K_NOT_APPLICABLE"
        error = await refused(gateway.stub.Predict(pb.PredictRequest(model="shapes", image=picture(), question="a?")))
        assert error.reason == "QUESTION_NOT_APPLICABLE"


async def test_an_answerer_requires_a_question() -> None:
    model = _model_of(pb.TASK_ANSWER, "red", "blue")
    async with FakeTorchServe(model) as answerer, running_gateway(answerer) as gateway:
        error = await refused(gateway.stub.Explain(pb.ExplainRequest(model="shapes", image=picture())))
        assert error.violations[0].field == "targets"
        for target in (_answer("which colour?"), _answer("which colour?", "Red"), _answer("какого цвета?")):
            request = pb.ExplainRequest(model="shapes", image=picture(), targets=[target])
            assert (await gateway.stub.Explain(request)).model == "shapes"
        refusals = [
            (_answer("", "red"), "QUESTION_REQUIRED", "targets[0].answer.question"),
            (_answer(" \n"), "QUESTION_REQUIRED", "targets[0].answer.question"),
            (_answer("x" * 21), "TEXT_TOO_LONG", "targets[0].answer.question"),
            (_answer("what\x1b[2J?"), "TEXT_HAS_CONTROL_CHARACTERS", "targets[0].answer.question"),
            (_answer("which colour?", "rad"), "ANSWER_UNKNOWN", "targets[0].answer.answer"),
            (_answer("which colour?", "x" * 100_000), "ANSWER_UNKNOWN", "targets[0].answer.answer"),
            (_caption("a star"), "TARGET_KIND_MISMATCH", "targets[0].caption"),
        ]
        for target, reason, field in refusals:
            error = await refused(
                gateway.stub.Explain(pb.ExplainRequest(model="shapes", image=picture(), targets=[target]))
            )
            assert (error.code, error.reason, error.violations[0].field) == (INVALID, reason, field)
            assert len(error.message) < 400
            if reason == "ANSWER_UNKNOWN":
                assert "red" in error.message
        for question, reason in ((" ", "QUESTION_REQUIRED"), ("a\r", "TEXT_HAS_CONTROL_CHARACTERS")):
            predict = pb.PredictRequest(model="shapes", image=picture(), question=question)
            assert (await refused(gateway.stub.Predict(predict))).reason == reason
        predict = pb.PredictRequest(model="shapes", image=picture(), question="which colour?")
        assert (await gateway.stub.Predict(predict)).model == "shapes"


async def test_an_answerer_without_labels_takes_any_answer() -> None:
    async with FakeTorchServe(_model_of(pb.TASK_ANSWER)) as answerer, running_gateway(answerer) as gateway:
        request = pb.ExplainRequest(model="shapes", image=picture(), targets=[_answer("which colour?", "crimson")])
        assert (await gateway.stub.Explain(request)).model == "shapes"
        request.targets[0].answer.answer = "x" * 21
        error = await refused(gateway.stub.Explain(request))
        assert (error.reason, error.violations[0].field) == ("TEXT_TOO_LONG", "targets[0].answer.answer")


async def test_a_method_of_another_model_does_not_work_on_this_one(torchserve: FakeTorchServe) -> None:
    upstream = TorchServe(torchserve.addresses, run_timeout=1)
    catalog = Catalog(Fleet(upstream, [ModelRef("one", "1"), ModelRef("other", "1")], SETTINGS, Metrics()))
    for served, method in zip(catalog, MODEL.methods, strict=True):
        model = pb.Model(task=MODEL.task, limits=MODEL.limits, methods=[method])
        served.card = Card(model, SETTINGS.max_image_bytes)
    request = pb.ExplainRequest(model="one", image=picture(), method="opti-cam")
    with pytest.raises(FailedPreconditionError) as caught:
        Admission(catalog, SETTINGS).explain(request)
    assert (caught.value.reason, caught.value.violations[0].field) == ("METHOD_NOT_SUPPORTED", "method")
    await upstream.close()

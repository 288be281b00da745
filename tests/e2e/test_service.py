"""The whole service: client, gateway, TorchServe, handler, core."""

import asyncio
import io
import urllib.request
from collections.abc import Iterator

import grpc
import numpy as np
import psutil
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from PIL import Image

from camserve import AsyncExplanationClient, CamserveError, ExplanationClient, class_target
from camserve.errors import InvalidArgumentError, NotFoundError
from camserve.v1 import explanation_pb2 as pb
from camserve.v1.explanation_pb2_grpc import ExplanationServiceStub
from gateway.launcher.server import Server
from model_store.scenes.demo import demo_scenes
from model_store.scenes.drawing import draw, masks

MODEL = "scenes-classifier"
SIDE = 480
DEMO = dict(demo_scenes())


def _jpeg(name: str, width: int = SIDE, height: int = SIDE) -> bytes:
    file = io.BytesIO()
    Image.fromarray(draw(DEMO[name], width, height)).save(file, "JPEG", quality=95)
    return file.getvalue()


def _classes(name: str) -> list[str]:
    return sorted({thing.shape for thing in DEMO[name].objects})


@pytest.fixture(scope="module")
def client(service: Server) -> Iterator[ExplanationClient]:
    with ExplanationClient(service.address) as client:
        yield client


@pytest.fixture(scope="module")
def stub(service: Server) -> Iterator[ExplanationServiceStub]:
    with grpc.insecure_channel(service.address) as channel:
        yield ExplanationServiceStub(channel)


@pytest.mark.parametrize("name", DEMO)
def test_the_map_of_each_class_lies_on_its_object(client: ExplanationClient, name: str) -> None:
    result = client.explain(_jpeg(name), model=MODEL, targets=_classes(name))
    visible = masks(DEMO[name], SIDE, SIDE)
    assert result.predictions[0].label in _classes(name)
    for explanation, target in zip(result.explanations, _classes(name), strict=True):
        assert explanation.target.label == target
        heat = explanation.heatmap.on_image()
        assert heat.shape == (SIDE, SIDE)
        own = np.any([m for m, thing in zip(visible, DEMO[name].objects, strict=True) if thing.shape == target], axis=0)
        row, column = np.unravel_index(heat.argmax(), heat.shape)
        half = SIDE // explanation.heatmap.values.shape[0] // 2  # a map cannot point finer than its own cells
        around = own[max(0, row - half) : row + half + 1, max(0, column - half) : column + half + 1]
        assert around.any(), f"the map of {target} peaks at {row}, {column}, off its object"
        others = visible.any(0) & ~own
        if others.any():
            assert heat[own].mean() > 2 * heat[others].mean()


def test_two_objects_in_one_picture_give_two_maps(client: ExplanationClient) -> None:
    name = next(name for name in DEMO if len(_classes(name)) == 2)
    first, second = client.explain(_jpeg(name), model=MODEL, targets=_classes(name)).explanations
    a, b = (explanation.heatmap.on_image().ravel() for explanation in (first, second))
    assert np.corrcoef(a, b)[0, 1] < 0.5


def test_the_frame_is_that_of_the_picture_as_it_is_seen(client: ExplanationClient) -> None:
    name = next(iter(DEMO))
    image = Image.open(io.BytesIO(_jpeg(name, 640, 480)))
    upright = client.explain(image, model=MODEL)
    assert upright.image_size == (480, 640)
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees: rotate clockwise to see it upright
    image.transpose(Image.Transpose.ROTATE_90).save(file, "JPEG", quality=95, exif=exif)
    turned = client.explain(file.getvalue(), model=MODEL)
    assert turned.image_size == (480, 640)
    a, b = (r.explanation.heatmap.on_image().ravel() for r in (upright, turned))
    assert np.corrcoef(a, b)[0, 1] > 0.95


def test_sixty_four_at_once_all_answer(service: Server) -> None:
    names = list(DEMO)
    images = {name: _jpeg(name) for name in names}

    async def ask_all() -> list[str]:
        async with AsyncExplanationClient(service.address, timeout=60) as client:
            results = await asyncio.gather(
                *(client.explain(images[names[i % len(names)]], model=MODEL) for i in range(64))
            )
        return [result.predictions[0].label for result in results]

    labels = asyncio.run(ask_all())
    assert len(labels) == 64
    assert all(label in _classes(names[i % len(names)]) for i, label in enumerate(labels))


def _text() -> bytes:
    return b"This is a text file that somebody renamed to photo.jpg.\n" * 20


def _pixel() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (1, 1)).save(file, "PNG")
    return file.getvalue()


def _good() -> bytes:
    return _jpeg(next(iter(DEMO)))


BAD_REQUESTS = {
    "empty request": (pb.ExplainRequest(), InvalidArgumentError, "model"),
    "no image": (pb.ExplainRequest(model=MODEL), InvalidArgumentError, "image"),
    "text renamed": (pb.ExplainRequest(model=MODEL, image=_text()), InvalidArgumentError, "image"),
    "truncated": (pb.ExplainRequest(model=MODEL, image=_good()[:5000]), InvalidArgumentError, "image"),
    "one pixel": (pb.ExplainRequest(model=MODEL, image=_pixel()), InvalidArgumentError, "image"),
    "unknown model": (pb.ExplainRequest(model="scene-classifier", image=_good()), NotFoundError, "model"),
    "unknown version": (pb.ExplainRequest(model=MODEL, version="99", image=_good()), NotFoundError, "version"),
    "unknown method": (pb.ExplainRequest(model=MODEL, image=_good(), method="grad-cm"), NotFoundError, "method"),
    "unknown layer": (
        pb.ExplainRequest(model=MODEL, image=_good(), layers=["nowhere"]),
        InvalidArgumentError,
        "layers[0]",
    ),
    "unknown label": (
        pb.ExplainRequest(model=MODEL, image=_good(), targets=[pb.Target(class_target=pb.ClassTarget(label="cirkle"))]),
        InvalidArgumentError,
        "targets[0].class_target.label",
    ),
    "index out of range": (
        pb.ExplainRequest(model=MODEL, image=_good(), targets=[pb.Target(class_target=pb.ClassTarget(index=10_000))]),
        InvalidArgumentError,
        "targets[0].class_target.index",
    ),
}


@pytest.mark.parametrize("case", BAD_REQUESTS)
def test_a_bad_request_names_its_field_and_leaves_the_worker_alone(
    service: Server, stub: ExplanationServiceStub, case: str
) -> None:
    from camserve.errors import from_rpc_error

    request, kind, field = BAD_REQUESTS[case]
    before = _workers(service)
    with pytest.raises(grpc.RpcError) as raised:
        stub.Explain(request, timeout=30)
    error = from_rpc_error(raised.value)
    assert isinstance(error, kind), error
    assert error.reason
    assert field in [violation.field for violation in error.violations]
    assert stub.Explain(pb.ExplainRequest(model=MODEL, image=_good()), timeout=30).explanations
    assert _workers(service) == before


def _workers(service: Server) -> set[int]:
    """The Python workers under the JVM."""
    tree = psutil.Process(service.process.pid).children(recursive=True)
    return {process.pid for process in tree if "model_service_worker" in " ".join(process.cmdline())}


def test_workers_have_all_cores_and_do_not_spin_long_on_them(service: Server) -> None:
    workers = [psutil.Process(worker) for worker in _workers(service)]
    assert len(workers) == 2  # one for each version
    for worker in workers:
        environment = worker.environ()
        assert int(environment["OMP_NUM_THREADS"]) <= len(worker.cpu_affinity())
        assert environment["OMP_WAIT_POLICY"] == "PASSIVE"
        assert 0 < int(environment["GOMP_SPINCOUNT"]) <= 10_000


def test_the_nearest_labels_are_named(client: ExplanationClient) -> None:
    label = client.model(MODEL).labels[0]
    with pytest.raises(CamserveError, match=label):
        client.explain(_good(), model=MODEL, target=label[:-1] + "x")


def test_every_form_of_output(stub: ExplanationServiceStub) -> None:
    forms = [
        pb.RenderingRequest(format=form, size=size)
        for form in pb.RenderingFormat.values()[1:]
        for size in (pb.RENDERING_SIZE_ORIGINAL, pb.RENDERING_SIZE_INPUT, pb.RENDERING_SIZE_NATIVE)
    ]
    image = _jpeg(next(iter(DEMO)), 320, 240)
    for some in (forms[:8], forms[8:]):
        request = pb.ExplainRequest(model=MODEL, image=image, output=pb.Output(renderings=some))
        (explanation,) = stub.Explain(request, timeout=30).explanations
        for wanted, got in zip(some, explanation.renderings, strict=True):
            assert (got.format, got.size) == (wanted.format, wanted.size)
            if got.size == pb.RENDERING_SIZE_ORIGINAL:
                assert (got.width, got.height) == (320, 240)
            if got.format in (pb.RENDERING_FORMAT_FLOAT32, pb.RENDERING_FORMAT_UINT8):
                cell = 4 if got.format == pb.RENDERING_FORMAT_FLOAT32 else 1
                assert len(got.data) == got.width * got.height * cell
            else:
                assert Image.open(io.BytesIO(got.data)).size == (got.width, got.height)


def test_counterfactual_contrast_and_rank(client: ExplanationClient) -> None:
    name = next(name for name in DEMO if len(_classes(name)) == 2)
    labels = client.model(MODEL).labels
    a, b = _classes(name)
    contrast = client.explain(_jpeg(name), model=MODEL, target=class_target(label=a, against=[labels.index(b)]))
    plain = client.explain(_jpeg(name), model=MODEL, targets=[a, b])
    assert contrast.explanation.score == pytest.approx(
        plain.explanations[0].score - plain.explanations[1].score, abs=1e-3
    )
    counter = client.explain(_jpeg(name), model=MODEL, target=a, polarity="counter")
    heat, against = (r.explanations[0].heatmap.on_image().ravel() for r in (plain, counter))
    assert np.corrcoef(heat, against)[0, 1] < 0
    second = client.explain(_jpeg(name), model=MODEL, target=class_target(rank=1))
    assert second.explanation.target.label == plain.predictions[1].label


@pytest.mark.parametrize("method", ["grad-cam", "eigen-cam"])
def test_named_units_speak_for_the_class_and_against_it(client: ExplanationClient, method: str) -> None:
    name = next(name for name in DEMO if len(_classes(name)) == 2)
    own, other = _classes(name)
    result = client.explain(_jpeg(name), model=MODEL, targets=[own, other], method=method)
    for label, explanation in zip((own, other), result.explanations, strict=True):
        favour = [reason for reason in explanation.reasons if reason.contribution > 0]
        assert label in [reason.name for reason in favour]
        assert [r.contribution for r in favour] == sorted([r.contribution for r in favour], reverse=True)
        assert len(favour) == 3
        assert {reason.layer for reason in explanation.reasons} == set(explanation.layers)


def test_the_model_describes_itself(client: ExplanationClient) -> None:
    model, other = client.models()
    assert model == client.model(MODEL)
    assert (model.version, other.version, other.name) == ("1", "2", MODEL)
    assert model.default_version
    assert not other.default_version
    assert model.name == MODEL
    assert model.ready
    assert "grad-cam" in [method.id for method in model.methods]
    assert model.default_layers[0] in model.layers


def test_health_reflection_and_metrics(service: Server) -> None:
    with grpc.insecure_channel(service.address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for name in ("", MODEL, "camserve.v1.ExplanationService"):
            reply = health.Check(health_pb2.HealthCheckRequest(service=name), timeout=10)
            assert reply.status == health_pb2.HealthCheckResponse.SERVING
        assert "camserve.v1.ExplanationService" in ProtoReflectionDescriptorDatabase(channel).get_services()
    with urllib.request.urlopen(f"http://{service.metrics_address}/metrics", timeout=10) as reply:
        text = reply.read().decode()
    assert 'grpc_server_handled_total{grpc_code="OK"' in text
    assert 'camserve_stage_seconds_count{method="grad-cam"' in text

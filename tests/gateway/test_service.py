import asyncio
from collections.abc import AsyncIterator
from importlib.metadata import version

import grpc
import pytest
import pytest_asyncio
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from camserve.v1 import explanation_pb2 as pb
from tests.gateway.client import Gateway, picture, refused, running_gateway
from tests.gateway.torchserve import MODEL, FakeTorchServe, item_error

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared() -> AsyncIterator[tuple[FakeTorchServe, Gateway]]:
    async with FakeTorchServe() as fake, running_gateway(fake) as running:
        yield fake, running


@pytest.fixture
def torchserve(shared: tuple[FakeTorchServe, Gateway]) -> FakeTorchServe:
    shared[0].reset()
    return shared[0]


@pytest.fixture
def gateway(shared: tuple[FakeTorchServe, Gateway]) -> Gateway:
    return shared[1]


async def test_explain_answers_with_the_workers_result_and_the_gateways_figures(
    gateway: Gateway, torchserve: FakeTorchServe
) -> None:
    request = pb.ExplainRequest(model="shapes", image=picture(), request_id="abc")
    request.output.renderings.add(format=pb.RENDERING_FORMAT_PNG)
    response = await gateway.stub.Explain(request)
    assert (response.model, response.version, response.request_id) == ("shapes", "1", "abc")
    assert response.predictions[0].class_prediction.label == "star"
    assert len(response.explanations) == 1
    assert len(response.explanations[0].renderings) == 1
    timing = response.timing
    assert timing.pack_size == 1
    assert timing.decode.ToMilliseconds() == 1
    for stage in (timing.queue, timing.upstream, timing.render, timing.total):
        assert 0 < stage.ToNanoseconds() <= timing.total.ToNanoseconds()
    [[item]] = torchserve.packs
    assert item.explain.image == request.image
    assert not item.explain.HasField("output")


async def test_a_request_without_an_id_gets_one_and_the_worker_sees_it(
    gateway: Gateway, torchserve: FakeTorchServe
) -> None:
    response = await gateway.stub.Explain(pb.ExplainRequest(model="shapes", image=picture()))
    assert len(response.request_id) == 32
    assert torchserve.packs[0][0].explain.request_id == response.request_id


async def test_predict(gateway: Gateway, torchserve: FakeTorchServe) -> None:
    response = await gateway.stub.Predict(pb.PredictRequest(model="shapes", image=picture(), top_k=3))
    assert response.predictions[0].class_prediction.index == 2
    assert (response.model, response.version) == ("shapes", "1")
    assert response.timing.upstream.ToNanoseconds() > 0
    assert torchserve.packs[0][0].predict.top_k == 3


async def test_models_are_described_with_what_the_gateway_knows(gateway: Gateway) -> None:
    model = (await gateway.stub.GetModel(pb.GetModelRequest(name="shapes"))).model
    assert model.ready
    assert model.default_version
    assert model.limits.max_image_bytes == 16 * 1024 * 1024
    assert model.labels == MODEL.labels
    listed = await gateway.stub.ListModels(pb.ListModelsRequest())
    assert list(listed.models) == [model]
    assert listed.server_version == version("camserve-server")
    assert not (await gateway.stub.ListModels(pb.ListModelsRequest(task=pb.TASK_ANSWER))).models
    assert (await gateway.stub.ListModels(pb.ListModelsRequest(task=pb.TASK_CLASSIFY))).models


async def test_an_unknown_model_cannot_be_described(gateway: Gateway) -> None:
    error = await refused(gateway.stub.GetModel(pb.GetModelRequest(name="shape")))
    assert (error.code, error.violations[0].field) == (grpc.StatusCode.NOT_FOUND, "name")
    assert "nearest: shapes" in error.message
    error = await refused(gateway.stub.GetModel(pb.GetModelRequest()))
    assert (error.code, error.violations[0].field) == (grpc.StatusCode.INVALID_ARGUMENT, "name")
    error = await refused(gateway.stub.ListModels(pb.ListModelsRequest(task=9)))  # type: ignore[arg-type]
    assert (error.code, error.reason, error.violations[0].field) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "TASK_UNKNOWN",
        "task",
    )


async def test_a_workers_error_of_one_item_reaches_its_caller(gateway: Gateway, torchserve: FakeTorchServe) -> None:
    torchserve.answer = item_error
    error = await refused(gateway.stub.Explain(pb.ExplainRequest(model="shapes", image=picture())))
    assert (error.code, error.reason, error.message) == (grpc.StatusCode.INTERNAL, "WORKER_FAILED", "broken")


async def test_unavailable_comes_with_both_hints_to_retry(gateway: Gateway, torchserve: FakeTorchServe) -> None:
    away = (grpc.StatusCode.INTERNAL, 'Model "shapes" has no worker to serve inference request')
    torchserve.failures.extend((away, away))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await gateway.stub.Explain(pb.ExplainRequest(model="shapes", image=picture()))
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
    trailers = dict(caught.value.trailing_metadata() or ())
    assert trailers["grpc-retry-pushback-ms"] == "1000"
    assert b"google.rpc.RetryInfo" in trailers["grpc-status-details-bin"]


async def test_a_fault_of_the_server_shows_nothing_of_its_inside(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr("gateway.output.Renderer.render", broken)
    request = pb.ExplainRequest(model="shapes", image=picture())
    request.output.renderings.add(format=pb.RENDERING_FORMAT_PNG)
    error = await refused(gateway.stub.Explain(request))
    assert (error.code, error.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
    assert "secret" not in error.message
    assert "secret" in caplog.text


async def test_a_deadline_that_passes_while_the_model_runs(gateway: Gateway, torchserve: FakeTorchServe) -> None:
    torchserve.open.clear()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await gateway.stub.Explain(pb.ExplainRequest(model="shapes", image=picture()), timeout=0.1)
    assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    torchserve.open.set()
    await gateway.stub.Explain(pb.ExplainRequest(model="shapes", image=picture()))
    assert torchserve.cancelled == 0


async def test_sixty_four_requests_at_once_are_all_answered(gateway: Gateway, torchserve: FakeTorchServe) -> None:
    requests = [pb.ExplainRequest(model="shapes", image=picture(), request_id=str(n)) for n in range(64)]
    responses = await asyncio.gather(*(gateway.stub.Explain(request) for request in requests))
    assert [response.request_id for response in responses] == [request.request_id for request in requests]
    assert sum(map(len, torchserve.packs)) == 64
    assert len(torchserve.packs) < 64


async def test_reflection_lists_the_services(gateway: Gateway) -> None:
    stub = reflection_pb2_grpc.ServerReflectionStub(gateway.channel)
    requests = [reflection_pb2.ServerReflectionRequest(list_services="")]
    [response] = [response async for response in stub.ServerReflectionInfo(iter(requests))]
    names = {service.name for service in response.list_services_response.service}
    assert {"camserve.v1.ExplanationService", "grpc.health.v1.Health"} <= names

import asyncio
import math
from typing import cast

import grpc
import pytest

from camserve.v1 import explanation_pb2 as pb
from camserve.worker.v1 import worker_pb2
from gateway.interceptor import Context, Method
from gateway.metrics import Metrics
from tests.gateway.client import Gateway, picture, refused
from tests.gateway.torchserve import FakeTorchServe, answer

EXPLAIN = 'grpc_method="Explain",grpc_service="camserve.v1.ExplanationService",grpc_type="unary"'


def handled(metrics: dict[str, float], method: str = "Explain", kind: str = "unary") -> dict[str, float]:
    """Calls that ended, by the codes that there were."""
    start = 'grpc_server_handled_total{grpc_code="'
    end = f'",grpc_method="{method}",grpc_service="camserve.v1.ExplanationService",grpc_type="{kind}"}}'
    return {
        sample.removeprefix(start).removesuffix(end): value
        for sample, value in metrics.items()
        if sample.startswith(start) and sample.endswith(end) and value
    }


async def expire(gateway: Gateway, request: pb.ExplainRequest) -> None:
    """Lets a call's deadline pass on the server; a short one may pass before the call gets there, and is doubled."""
    timeout, started = 0.05, f"grpc_server_started_total{{{EXPLAIN}}}"
    before = (await gateway.metrics())[started]
    while (await gateway.metrics())[started] == before:
        with pytest.raises(grpc.aio.AioRpcError):
            await gateway.stub.Explain(request, timeout=timeout)
        timeout *= 2


async def test_every_call_is_counted_once_by_its_code(gateway: Gateway, torchserve: FakeTorchServe) -> None:
    good = pb.ExplainRequest(model="shapes", image=picture())
    await asyncio.gather(*(gateway.stub.Explain(good) for _ in range(5)))
    await refused(gateway.stub.Explain(pb.ExplainRequest(model="shapes", image=b"text")))
    await refused(gateway.stub.Explain(pb.ExplainRequest(model="none", image=picture())))

    torchserve.open.clear()
    packs = len(torchserve.packs)
    gone = gateway.stub.Explain(good)
    await torchserve.arrived(packs + 1)
    gone.cancel()
    await expire(gateway, good)
    torchserve.open.set()
    await gateway.stub.Explain(good)

    async def all_ended() -> dict[str, float]:
        while (metrics := await gateway.metrics())[f"grpc_server_handling_seconds_count{{{EXPLAIN}}}"] < 10:
            pass
        return metrics

    metrics = await all_ended()
    assert metrics[f"grpc_server_started_total{{{EXPLAIN}}}"] == 10
    codes = handled(metrics)
    # A caller whose deadline passes hangs up, which may reach the server before its own clock says so.
    assert codes.pop("CANCELLED") + codes.pop("DEADLINE_EXCEEDED", 0) == 2
    assert codes == {"OK": 6, "INVALID_ARGUMENT": 1, "NOT_FOUND": 1}
    assert metrics['camserve_refusals_total{reason="IMAGE_NOT_RECOGNISED"}'] == 1
    assert metrics['camserve_refusals_total{reason="MODEL_UNKNOWN"}'] == 1
    assert metrics['camserve_queue_depth{model="shapes"}'] == 0
    assert metrics['camserve_in_flight{model="shapes"}'] == 0
    assert metrics['camserve_image_bytes_count{model="shapes"}'] == 8


class GoneCaller:
    """The context of a call whose status could not be sent."""

    def code(self) -> int:
        return int(grpc.StatusCode.NOT_FOUND.value[0])


async def test_a_call_has_its_code_even_if_the_caller_left_before_it_was_sent() -> None:
    metrics = Metrics()
    method = Method("camserve.v1.ExplanationService", "Explain", "unary")
    with pytest.raises(ConnectionError):
        async with metrics.scope(method, cast(Context, GoneCaller())):
            raise ConnectionError
    labels = {"grpc_type": "unary", "grpc_service": method.service, "grpc_method": "Explain", "grpc_code": "NOT_FOUND"}
    assert metrics.registry.get_sample_value("grpc_server_handled_total", labels) == 1


async def test_streams_and_their_items_are_counted(gateway: Gateway, torchserve: FakeTorchServe) -> None:
    good = pb.ExplainRequest(model="shapes", image=picture())
    items = [pb.ExplainStreamRequest(id=str(n), request=good) for n in range(3)]
    items.append(pb.ExplainStreamRequest(id="x", request=pb.ExplainRequest(model="none")))
    assert len([answer async for answer in gateway.stub.ExplainStream(iter(items))]) == 4
    torchserve.open.clear()
    torchserve.progress = [pb.Progress(step=1, steps=2)]
    gone = gateway.stub.ExplainProgress(pb.ExplainProgressRequest(request=good))
    await gone.read()
    gone.cancel()

    async def all_ended() -> dict[str, float]:
        method = 'grpc_method="ExplainProgress",grpc_service="camserve.v1.ExplanationService",grpc_type="server_stream"'
        while not (metrics := await gateway.metrics()).get(f"grpc_server_handling_seconds_count{{{method}}}"):
            pass
        return metrics

    metrics = await all_ended()
    assert handled(metrics, "ExplainStream", "bidi_stream") == {"OK": 1}
    assert handled(metrics, "ExplainProgress", "server_stream") == {"CANCELLED": 1}
    assert metrics['camserve_stream_items_total{grpc_code="OK"}'] == 3
    assert metrics['camserve_stream_items_total{grpc_code="NOT_FOUND"}'] == 1
    assert metrics['camserve_refusals_total{reason="MODEL_UNKNOWN"}'] == 1


async def test_figures_of_maps_are_shares_of_one(gateway: Gateway, torchserve: FakeTorchServe) -> None:
    measured = [
        pb.Faithfulness(average_drop=15, average_gain=0, increase=True, insertion_auc=0.75, unseen_share=share)
        for share in (0.25, math.nan)
    ]

    def with_figures(item: worker_pb2.Item) -> worker_pb2.ItemResult:
        result = answer(item)
        for explanation, figures in zip(result.explain.explanations, measured, strict=False):
            explanation.faithfulness.CopyFrom(figures)
        return result

    torchserve.answer = with_figures
    targets = [pb.Target(class_target=pb.ClassTarget(index=index)) for index in range(3)]
    request = pb.ExplainRequest(model="shapes", image=picture(), targets=targets, method="gradcam", faithfulness=True)
    response = await gateway.stub.Explain(request)
    assert [each.HasField("faithfulness") for each in response.explanations] == [True, True, False]
    assert torchserve.packs[-1][0].explain.faithfulness
    metrics = await gateway.metrics()

    def sample(kind: str, figure: str) -> float:
        labels = f'figure="{figure}",method="grad-cam",model="shapes",task="classify"'
        return metrics[f"camserve_faithfulness_ratio_{kind}{{{labels}}}"]

    assert sample("count", "average_drop") == 2
    assert sample("sum", "average_drop") == pytest.approx(0.3)
    assert sample("sum", "increase") == 2
    assert sample("sum", "deletion_auc") == 0
    assert (sample("count", "unseen_share"), sample("sum", "unseen_share")) == (1, 0.25)


async def test_stages_have_the_methods_id_and_never_what_a_caller_wrote(gateway: Gateway) -> None:
    request = pb.ExplainRequest(model="shapes", image=picture(), method="gradcam")
    request.output.renderings.add(format=pb.RENDERING_FORMAT_PNG)
    await gateway.stub.Explain(request)
    await gateway.stub.Predict(pb.PredictRequest(model="shapes", image=picture()))
    metrics = await gateway.metrics()
    for stage in ("queue", "upstream", "decode", "render", "total"):
        labels = f'method="grad-cam",model="shapes",stage="{stage}",task="classify"'
        assert metrics[f"camserve_stage_seconds_count{{{labels}}}"] == 1
    labels = 'method="",model="shapes",stage="total",task="classify"'
    assert metrics[f"camserve_stage_seconds_count{{{labels}}}"] == 1
    assert not any("gradcam" in sample for sample in metrics)


async def test_messages_and_their_bytes_are_counted(gateway: Gateway) -> None:
    request = pb.ExplainRequest(model="shapes", image=picture())
    response = await gateway.stub.Explain(request)
    metrics = await gateway.metrics()
    assert metrics[f"grpc_server_msg_received_total{{{EXPLAIN}}}"] == 1
    assert metrics[f"grpc_server_msg_sent_total{{{EXPLAIN}}}"] == 1
    assert metrics[f"camserve_received_bytes_total{{{EXPLAIN}}}"] == request.ByteSize()
    assert metrics[f"camserve_sent_bytes_total{{{EXPLAIN}}}"] == response.ByteSize()


async def test_maps_and_their_warnings_are_counted(gateway: Gateway, torchserve: FakeTorchServe) -> None:
    def flat(item: worker_pb2.Item) -> worker_pb2.ItemResult:
        result = answer(item)
        result.explain.explanations[0].warnings.add(code=pb.WARNING_CODE_FLAT_MAP, message="all equal")
        return result

    torchserve.answer = flat
    targets = [pb.Target(class_target=pb.ClassTarget(index=index)) for index in range(3)]
    await gateway.stub.Explain(pb.ExplainRequest(model="shapes", image=picture(), targets=targets))
    metrics = await gateway.metrics()
    kind = 'method="grad-cam",model="shapes",task="classify"'
    assert metrics[f"camserve_maps_total{{{kind}}}"] == 3
    assert metrics[f'camserve_map_warnings_total{{{kind},warning="flat_map"}}'] == 1
    assert metrics[f'camserve_map_warnings_total{{{kind},warning="non_finite"}}'] == 0


async def test_the_wait_of_those_that_give_up_counts_too(gateway: Gateway, torchserve: FakeTorchServe) -> None:
    torchserve.open.clear()
    request = pb.ExplainRequest(model="shapes", image=picture())
    first = asyncio.ensure_future(gateway.stub.Explain(request))
    await torchserve.arrived(1)
    await expire(gateway, request)
    wait = 'camserve_queue_wait_seconds_{}{{model="shapes"}}'
    while (metrics := await gateway.metrics())[wait.format("count")] < 2:
        pass
    assert metrics[wait.format("sum")] > 0
    torchserve.open.set()
    await first


async def test_a_worker_that_was_started_again_is_counted(gateway: Gateway, torchserve: FakeTorchServe) -> None:
    torchserve.workers = 2

    async def sample(name: str) -> float:
        return (await gateway.metrics())[f'camserve_worker_{name}{{model="shapes"}}']

    while await sample("ready") < 2:
        pass
    assert (await sample("wanted"), await sample("restarts_total")) == (2, 0)
    torchserve.processes[1] = -1  # as TorchServe says of one that it is starting
    await torchserve.looked_twice()
    torchserve.processes[1] = 777
    while await sample("restarts_total") < 1:
        pass
    await torchserve.looked_twice()
    assert await sample("restarts_total") == 1


async def test_whatever_callers_send_there_are_no_more_series(gateway: Gateway, torchserve: FakeTorchServe) -> None:
    good = pb.ExplainRequest(model="shapes", image=picture())

    async def attack(word: str) -> None:
        for request in (
            pb.ExplainRequest(model=word, image=picture()),
            pb.ExplainRequest(model="shapes", version=word, image=picture()),
            pb.ExplainRequest(model="shapes", method=word, image=picture()),
            pb.ExplainRequest(model="shapes", layers=[word], image=picture()),
            pb.ExplainRequest(model="shapes", image=word.encode()),
            pb.ExplainRequest(
                model="shapes", image=picture(), targets=[pb.Target(class_target=pb.ClassTarget(label=word))]
            ),
        ):
            await refused(gateway.stub.Explain(request, metadata=[("x-word", word), ("traceparent", word)]))
        items = [pb.ExplainStreamRequest(id=word + end, request=good) for end in ("", "", "x" * 200)]
        async for _ in gateway.stub.ExplainStream(iter(items)):
            pass
        await gateway.stub.Explain(pb.ExplainRequest(model="shapes", image=picture(), request_id=word))
        for method in (f"/camserve.v1.ExplanationService/{word}", f"/{word}/Explain"):
            with pytest.raises(grpc.aio.AioRpcError):
                await gateway.channel.unary_unary(method)(b"")  # type: ignore[arg-type]

    async def series() -> set[str]:
        return set(await gateway.metrics())

    await attack("zebra")
    known = await series()
    for number in range(8):
        await attack(f"zebra{number}")
    assert await series() == known
    assert not any("zebra" in sample for sample in known)


async def test_a_sample_leads_to_the_trace_of_its_call(gateway: Gateway) -> None:
    sampled, ignored = "1234567890abcdef" * 2, "fedcba0987654321" * 2
    request = pb.ExplainRequest(model="shapes", image=picture())
    for trace, flag in ((sampled, "01"), (ignored, "00")):
        await gateway.stub.Explain(request, metadata=[("traceparent", f"00-{trace}-{'1' * 16}-{flag}")])
    text = await gateway.metrics_text("application/openmetrics-text")
    led = {line.split("{")[0] for line in text.splitlines() if f'trace_id="{sampled}"' in line}
    assert led == {"grpc_server_handling_seconds_bucket", "camserve_stage_seconds_bucket"}
    assert ignored not in text

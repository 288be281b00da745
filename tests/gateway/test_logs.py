import json
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from camserve.errors import InternalError
from camserve.v1 import explanation_pb2 as pb
from gateway.access.callers import new_token
from gateway.call import Call, under_way
from gateway.logs import JsonFormatter, configure_logs
from gateway.settings import SettingError
from gateway.trace_context import TraceContext
from tests.gateway.client import SETTINGS, Gateway, picture, refused, running_gateway, until
from tests.gateway.torchserve import FakeTorchServe

TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
async def gateway(torchserve: FakeTorchServe) -> AsyncIterator[Gateway]:
    async with running_gateway(torchserve, replace(SETTINGS, log_calls=1)) as running:
        yield running


class Lines(logging.Handler):
    """Keeps the log as JSON lines."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(JsonFormatter())
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text += self.format(record) + "\n"

    def calls(self) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.text.splitlines()]
        return [line for line in lines if line["logger"] == "gateway.call_log"]


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Lines:
    kept = Lines()
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [*root.handlers, kept])
    monkeypatch.setattr(root, "level", logging.INFO)
    root.manager._clear_cache()  # type: ignore[attr-defined]
    return kept


async def test_a_call_is_a_line_with_its_request_and_its_trace(gateway: Gateway, lines: Lines) -> None:
    request = pb.ExplainRequest(model="shapes", image=picture(), request_id="mine", method="gradcam")
    await gateway.stub.Explain(request, metadata=[("traceparent", f"00-{TRACE}-{'1' * 16}-00")])
    (line,) = lines.calls()
    assert (line["rpc"], line["code"], line["level"]) == ("Explain", "OK", "info")
    assert (line["request_id"], line["trace_id"]) == ("mine", TRACE)
    assert (line["model"], line["method"]) == ("shapes:1", "grad-cam")
    assert line["seconds"] > 0
    assert "reason" not in line


async def test_items_of_a_stream_have_lines_too(gateway: Gateway, lines: Lines) -> None:
    good = pb.ExplainRequest(model="shapes", image=picture())
    items = [pb.ExplainStreamRequest(id="a", request=good), pb.ExplainStreamRequest(id="", request=good)]
    assert len([answer async for answer in gateway.stub.ExplainStream(iter(items))]) == 2
    told = {(line["rpc"], line["code"], line.get("reason"), line.get("model")) for line in lines.calls()}
    assert told == {
        ("ExplainStream item", "OK", None, "shapes:1"),
        ("ExplainStream item", "INVALID_ARGUMENT", "ITEM_ID_REQUIRED", None),
        ("ExplainStream", "OK", None, None),
    }
    names = [line.get("request_id") for line in lines.calls() if line.get("model")]
    assert all(names)


async def test_a_call_that_its_caller_gives_up_is_no_success(
    gateway: Gateway, torchserve: FakeTorchServe, lines: Lines
) -> None:
    torchserve.open.clear()
    call = gateway.stub.Explain(pb.ExplainRequest(model="shapes", image=picture()))
    await torchserve.arrived(1)
    call.cancel()
    await until(lambda: bool(lines.calls()))
    (line,) = lines.calls()
    assert (line["code"], line["model"]) == ("CANCELLED", "shapes:1")


async def test_whose_token_it_was_is_told(torchserve: FakeTorchServe, lines: Lines, tmp_path: Path) -> None:
    token, digest = new_token()
    callers = tmp_path / "callers.yaml"
    callers.write_text(f"callers: [{{name: shop, tokens: [{digest}]}}]")
    metadata = [("authorization", f"Bearer {token}")]
    request = pb.ExplainRequest(model="shapes", image=picture())
    async with running_gateway(torchserve, replace(SETTINGS, log_calls=1, callers_file=str(callers))) as gateway:
        await gateway.stub.Explain(request, metadata=metadata)
        items = [pb.ExplainStreamRequest(id="a", request=request)]
        assert [answer.id async for answer in gateway.stub.ExplainStream(iter(items), metadata=metadata)] == ["a"]
        await refused(gateway.stub.Explain(request))
    told = [(line["rpc"], line.get("caller"), line["code"]) for line in lines.calls()]
    assert told == [
        ("Explain", "shop", "OK"),
        ("ExplainStream item", "shop", "OK"),
        ("ExplainStream", "shop", "OK"),
        ("Explain", None, "UNAUTHENTICATED"),
    ]
    assert token not in lines.text


async def test_nothing_that_callers_write_is_logged(gateway: Gateway, torchserve: FakeTorchServe, lines: Lines) -> None:
    word = "grandmother"
    for request in (
        pb.ExplainRequest(model=word, image=picture()),
        pb.ExplainRequest(model="shapes", method=word, image=picture()),
        pb.ExplainRequest(model="shapes", image=word.encode() * 9),
        pb.ExplainRequest(model="shapes", image=picture(), request_id=word * 20),
        pb.ExplainRequest(model="shapes", image=picture(), targets=[pb.Target(caption=pb.CaptionTarget(text=word))]),
    ):
        error = await refused(gateway.stub.Explain(request))
        assert lines.calls()[-1]["reason"] == error.reason
    torchserve.answer = lambda _: pb_error(word)
    await refused(gateway.stub.Explain(pb.ExplainRequest(model="shapes", image=picture())))
    assert lines.calls()[-1]["reason"] == "WORKER_FAILED"
    assert word not in lines.text


def pb_error(text: str) -> Any:
    from camserve.worker.v1 import worker_pb2

    return worker_pb2.ItemResult(error=InternalError(text, "WORKER_FAILED").to_status())


async def test_calls_are_not_logged_unless_it_is_wanted(torchserve: FakeTorchServe, lines: Lines) -> None:
    async with running_gateway(torchserve) as gateway:
        await gateway.stub.Explain(pb.ExplainRequest(model="shapes", image=picture()))
    assert lines.calls() == []


def test_an_error_inside_a_call_is_found_by_it() -> None:
    record = logging.LogRecord("gateway.status", logging.ERROR, __file__, 1, "%s failed", ("a run",), None)
    try:
        raise ValueError("broken")
    except ValueError as error:
        record.exc_info = (ValueError, error, error.__traceback__)
    with under_way(Call(trace=TraceContext(TRACE, "1" * 16, 1), request_id="mine")):
        line = json.loads(JsonFormatter().format(record))
    assert (line["message"], line["request_id"], line["trace_id"]) == ("a run failed", "mine", TRACE)
    assert "ValueError: broken" in line["error"]
    assert line["time"].endswith("+00:00")


def test_an_unknown_form_is_refused() -> None:
    with pytest.raises(SettingError, match="CAMSERVE_LOG_FORMAT must be text or json, not 'xml'"):
        configure_logs("xml")

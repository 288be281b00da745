"""The real TorchServe, with handlers of a few lines."""

import asyncio
import shutil
import sys
from pathlib import Path

import grpc
import psutil
import pytest

from camserve.errors import CamserveError
from gateway.launcher.java import find_java
from gateway.launcher.keeper import keep_torchserve
from gateway.launcher.ports import TorchServePorts
from gateway.launcher.process import TorchServeError, run_torchserve
from gateway.torchserve import inference_pb2
from gateway.upstream import ModelRef, TorchServe, TorchServeAddresses
from tests.gateway.launcher.conftest import DEADLINE_S, ArchiveFactory, all_gone, tree, until

pytestmark = pytest.mark.slow

ECHO = """
import os, time

def handle(data, context):
    if data is None:
        return None
    word = bytes(data[0]["pack"])
    if word == b"crash":
        os.abort()
    if word.startswith(b"sleep "):
        open(word[6:], "w").close()
        time.sleep(600)
    return [word + b" from " + str(os.getpid()).encode()]
"""


async def ready(addresses: TorchServeAddresses, model: str) -> None:
    upstream = TorchServe(addresses, run_timeout=DEADLINE_S)
    async with asyncio.timeout(DEADLINE_S):
        while True:
            try:
                if (await upstream.workers(ModelRef(model, "1"))).ready:
                    break
            except CamserveError:  # it is still starting
                pass
            await asyncio.sleep(0.05)
    await upstream.close()


async def say(addresses: TorchServeAddresses, model: str, word: bytes) -> bytes:
    async with grpc.aio.insecure_channel(addresses.inference) as channel:
        predict = channel.unary_unary(
            "/org.pytorch.serve.grpc.inference.InferenceAPIsService/Predictions",
            request_serializer=inference_pb2.PredictionsRequest.SerializeToString,
            response_deserializer=inference_pb2.PredictionResponse.FromString,
        )
        reply = await predict(
            inference_pb2.PredictionsRequest(model_name=model, input={"pack": word}), timeout=DEADLINE_S
        )
        return bytes(reply.prediction)


def children() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


async def test_two_side_by_side_answer_and_leave_nothing(
    make_archive: ArchiveFactory,
    run_dir: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    before = children()
    java = find_java()
    async with (
        keep_torchserve(run_dir, java, [make_archive("one", ECHO)], 1) as one,
        keep_torchserve(run_dir, java, [make_archive("two", ECHO)], 1) as two,
    ):
        await asyncio.gather(ready(one.addresses, "one"), ready(two.addresses, "two"))
        assert (await say(one.addresses, "one", b"hello")).startswith(b"hello from ")
        assert (await say(two.addresses, "two", b"hello")).startswith(b"hello from ")
        started = [process for process in children() if process not in before]
        assert len(started) == 6  # of each a guardian, Java and a worker
        assert [record for record in caplog.records if record.name == "gateway.launcher.process"] == []
    assert all_gone(started)
    assert capfd.readouterr() == ("", "")


async def test_a_worker_that_dies_while_it_loads_ends_the_start(
    make_archive: ArchiveFactory, run_dir: Path, ports: TorchServePorts
) -> None:
    archive = make_archive("broken", "import json\nimport no_such_module\n")
    async with run_torchserve(run_dir, find_java(), [archive], 1, ports) as process:
        with pytest.raises(TorchServeError) as caught:
            await asyncio.wait_for(process.watching, DEADLINE_S)
    message = str(caught.value)
    assert "a worker of broken:1 died while it loaded the model" in message
    assert "import no_such_module" in message
    assert "ModuleNotFoundError: No module named 'no_such_module'" in message
    assert "ts.torch_handler" not in message


async def test_a_crash_of_native_code_is_reported_too(
    make_archive: ArchiveFactory, run_dir: Path, ports: TorchServePorts
) -> None:
    archive = make_archive("broken", "import os\n\ndef handle(data, context):\n    os.abort()\n")
    async with run_torchserve(run_dir, find_java(), [archive], 1, ports) as process:
        with pytest.raises(TorchServeError, match="Fatal Python error: Aborted"):
            await asyncio.wait_for(process.watching, DEADLINE_S)


async def test_a_worker_that_dies_without_a_word_is_given_up_too(
    make_archive: ArchiveFactory, run_dir: Path, ports: TorchServePorts
) -> None:
    archive = make_archive("mute", "import os\n\ndef handle(data, context):\n    os.kill(os.getpid(), 9)\n")
    async with run_torchserve(run_dir, find_java(), [archive], 1, ports) as process:
        with pytest.raises(TorchServeError, match="It did not say why: it may have been killed"):
            await asyncio.wait_for(process.watching, DEADLINE_S)


async def test_a_worker_that_crashes_later_is_told_and_comes_back(
    make_archive: ArchiveFactory, run_dir: Path, ports: TorchServePorts, caplog: pytest.LogCaptureFixture
) -> None:
    async with run_torchserve(run_dir, find_java(), [make_archive("echo", ECHO)], 1, ports) as process:
        await ready(process.addresses, "echo")
        process.serving()
        with pytest.raises(grpc.aio.AioRpcError, match="Worker died"):
            await say(process.addresses, "echo", b"crash")
        await ready(process.addresses, "echo")
        assert (await say(process.addresses, "echo", b"hello")).startswith(b"hello from ")
    assert any("a worker of echo:1 died and is restarted" in message for message in caplog.messages)


async def test_the_end_of_java_is_told(make_archive: ArchiveFactory, run_dir: Path, ports: TorchServePorts) -> None:
    before = children()
    async with run_torchserve(run_dir, find_java(), [make_archive("echo", ECHO)], 1, ports) as process:
        await ready(process.addresses, "echo")
        started = [child for child in children() if child not in before]
        next(child for child in started if "java" in child.name()).kill()
        with pytest.raises(TorchServeError, match="TorchServe ended with status 137"):
            await asyncio.wait_for(process.watching, DEADLINE_S)
    assert all_gone(started)


async def test_a_torchserve_that_ends_is_started_again_where_it_was(
    make_archive: ArchiveFactory, run_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = children()
    async with keep_torchserve(run_dir, find_java(), [make_archive("echo", ECHO)], 1) as keeper:
        await ready(keeper.addresses, "echo")
        keeper.serving()
        java = next(child for child in children() if child not in before and "java" in child.name())
        java.kill()
        await asyncio.to_thread(java.wait, DEADLINE_S)
        await ready(keeper.addresses, "echo")
        assert (await say(keeper.addresses, "echo", b"hello")).startswith(b"hello from ")
        assert not keeper.failing.done()
    assert "TorchServe ended with status 137" in caplog.text
    assert "It is started again in 1 s." in caplog.text
    assert all_gone([child for child in children() if child not in before])


async def test_a_torchserve_that_cannot_start_is_not_tried_again(make_archive: ArchiveFactory, run_dir: Path) -> None:
    archive = make_archive("broken", "import no_such_module\n")
    async with keep_torchserve(run_dir, find_java(), [archive], 1) as keeper:
        with pytest.raises(TorchServeError, match="a worker of broken:1 died while it loaded the model"):
            await asyncio.wait_for(keeper.failing, DEADLINE_S)


OWNER = """
import asyncio, sys
from pathlib import Path
from gateway.launcher.java import find_java
from gateway.launcher.keeper import keep_torchserve

async def own():
    async with keep_torchserve(Path(sys.argv[1]), find_java(), [Path(sys.argv[2])], 1) as keeper:
        print(keeper.addresses.inference, keeper.addresses.management, flush=True)
        await keeper.failing

asyncio.run(own())
"""


async def test_a_kill_of_the_owner_leaves_nothing_even_of_a_busy_worker(
    make_archive: ArchiveFactory, run_dir: Path, tmp_path: Path
) -> None:
    archive = make_archive("echo", ECHO)
    owner = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", OWNER, str(run_dir), str(archive)), stdout=asyncio.subprocess.PIPE
    )
    assert owner.stdout is not None
    addresses = TorchServeAddresses(*(await owner.stdout.readline()).decode().split())
    await ready(addresses, "echo")
    busy = tmp_path / "busy"
    run = asyncio.create_task(say(addresses, "echo", b"sleep " + bytes(busy)))
    await asyncio.to_thread(until, busy.exists, "the worker is busy")
    processes = tree(owner.pid)
    assert len(processes) == 4
    owner.kill()
    with pytest.raises(grpc.aio.AioRpcError):
        await run
    until(lambda: all_gone(processes) and not run_dir.exists(), "nothing is left")


async def test_a_kill_of_the_guardian_ends_torchserve(
    make_archive: ArchiveFactory, run_dir: Path, ports: TorchServePorts
) -> None:
    before = children()
    async with run_torchserve(run_dir, find_java(), [make_archive("echo", ECHO)], 1, ports) as process:
        await ready(process.addresses, "echo")
        started = [child for child in children() if child not in before]
        next(child for child in started if "guardian.py" in " ".join(child.cmdline()[:3])).kill()
        with pytest.raises(TorchServeError, match="TorchServe ended"):
            await asyncio.wait_for(process.watching, DEADLINE_S)
        until(lambda: all_gone(started), "Java and the worker are gone")
    shutil.rmtree(run_dir)  # the guardian's task, and otherwise the launcher's

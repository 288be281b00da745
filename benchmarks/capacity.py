"""What an explanation costs when a server is full, in seconds of processor time, and so how many a core makes.

    python benchmarks/capacity.py [--models NAME,...] [--method ID] [--images N] [--json FILE]

A stream keeps the server busy. Processor time is counted by process: the gateway, TorchServe (Java), and the workers;
it hardly depends on what else the machine does, as the time on the clock does. The client is not counted.
"""

import argparse
import io
import json
import time
from pathlib import Path
from typing import Any

import psutil
from PIL import Image

from camserve import ExplanationClient, stream_item
from gateway.launcher.server import Server, run_server
from model_store.scenes.demo import demo_scenes
from model_store.scenes.drawing import draw

WARM_UP = 32
ROLES = ("gateway", "java", "workers")


def main() -> None:
    """Measures and prints a line for each model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="scenes-classifier,resnet50", help="default: %(default)s")
    parser.add_argument("--method", default="", help="default: the model's")
    parser.add_argument("--images", type=int, default=200, help="of each model (default: %(default)s)")
    parser.add_argument("--side", type=int, default=224, help="of the images, in pixels (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    options = parser.parse_args()
    found = []
    for model in options.models.split(","):
        with run_server("--models", model) as server, ExplanationClient(server.address) as client:
            version = next(each.version for each in client.models() if each.default_version)
            stream(client, model, version, method=options.method, count=WARM_UP, side=options.side)
            before, start = spent(server), time.monotonic()
            sizes = stream(client, model, version, method=options.method, count=options.images, side=options.side)
            wall, after = time.monotonic() - start, spent(server)
        each = {role: 1000 * (after[role] - before[role]) / options.images for role in ROLES}
        total = sum(each.values())
        row = {
            "model": model,
            "method": options.method or "default",
            "milliseconds of a processor each": {role: round(value, 2) for role, value in each.items()},
            "a second and core": round(1000 / total, 1),
            "a second here": round(options.images / wall, 1),
            "pack": round(sum(sizes) / len(sizes), 1),
            "cores": psutil.cpu_count(),
        }
        found.append(row)
        print(json.dumps(row))
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")


def stream(client: ExplanationClient, model: str, version: str, *, method: str, count: int, side: int) -> list[int]:
    """Explains so many images over one stream, and returns with how many others each was run."""
    images = [_jpeg(draw(scene, side, side)) for _, scene in demo_scenes()]
    items = (
        stream_item(str(number), images[number % len(images)], model=model, version=version, method=method)
        for number in range(count)
    )
    return [each.result.timing.pack_size for each in client.explain_stream(items)]


def spent(server: Server) -> dict[str, float]:
    """Seconds of processor time that each part has used."""
    used = dict.fromkeys(ROLES, 0.0)
    for process in server.started:
        with process.oneshot():
            name = " ".join(process.cmdline())
            role = "java" if "ModelServer" in name else "workers" if "model_service_worker" in name else "gateway"
            times = process.cpu_times()
        if "guardian" not in name:
            used[role] += times.user + times.system
    return used


def _jpeg(pixels: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=90)
    return stream.getvalue()


if __name__ == "__main__":
    main()

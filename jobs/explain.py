"""Explains a large set of images with Ray Data: ``python -m jobs.explain --help``.

The images go through the same handlers as those of the service, in a model per actor, so the maps are the same. On one
machine Ray runs inside this command. With ``--address`` the same job runs on a cluster, whose nodes need
camserve-server with the extra ``cluster``, and reach the images, the model and the output by the same paths.
"""

import argparse
import importlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf.json_format import ParseDict

from camserve.errors import from_status
from camserve.folder import SUFFIXES
from camserve.folder_output import explanation_row
from camserve.results import ExplainResult
from camserve.v1 import explanation_pb2 as pb
from camserve.worker.v1 import worker_pb2 as wire
from handlers.pack import Servable, answer
from model_store.recipe import RecipeError, load_recipe

Columns = dict[str, Any]
"""A batch of Ray Data: the values of each column."""


class ExplainBatch:
    """An actor: it has the model, and explains batch after batch."""

    def __init__(self, model: str, request: dict[str, Any]) -> None:
        """Loads a model's folder.

        Args:
            model: the folder.
            request: what is asked of each image: an ``ExplainRequest`` in the form of its JSON, without the image.

        Raises:
            RecipeError: it cannot be served.
        """
        self._servable = load_servable(Path(model))
        self._request = ParseDict(request, pb.ExplainRequest())

    def __call__(self, batch: Columns) -> Columns:
        """Explains images.

        Args:
            batch: their ``path`` and ``bytes``.

        Returns:
            A row for each target of each image, of the columns of `camserve.folder_output.explanation_row`, and
            ``error``; an image that cannot be explained has one row, with nothing but its path and its error.
        """
        images = [bytes(each) for each in batch["bytes"]]
        rows = []
        for path, image, result in zip(batch["path"], images, self._results(images), strict=True):
            if result.WhichOneof("result") == "error":
                rows.append({"image": path, "error": from_status(result.error).message})
                continue
            found = ExplainResult.from_proto(result.explain, image)
            rows += [{**explanation_row(path, found, each), "error": None} for each in found.explanations]
        names = list(dict.fromkeys(name for row in rows for name in row))
        return {name: _column([row.get(name) for row in rows]) for name in names}

    def _results(self, images: Sequence[bytes]) -> Sequence[wire.ItemResult]:
        items = []
        for image in images:
            item = wire.Item(explain=self._request)
            item.explain.image = image
            items.append(item)
        pack = wire.Pack(items=wire.Items(items=items))
        reply = answer(self._servable, pack.SerializeToString(), _unwatched)
        return wire.PackResult.FromString(reply).items.results


def load_servable(folder: Path) -> Servable[Any]:
    """A model as a worker of the service loads it; on a GPU if Ray gave this actor one.

    Raises:
        RecipeError: it cannot be served.
    """
    import torch  # noqa: PLC0415 - in the actors, not where the job is started

    task = load_recipe(folder).task
    handler = getattr(importlib.import_module(f"handlers.{task}"), f"{task.capitalize()}Handler")
    servable: Servable[Any] = handler.load(folder, torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    return servable


def explain_images(
    images: Path,
    model: Path,
    out: Path,
    *,
    request: dict[str, Any],
    actors: int = 1,
    gpus: float = 0.0,
    cpus: float = 1.0,
    batch: int = 16,
) -> int:
    """Explains all images of a folder into Parquet tables; needs a Ray that is initialised.

    Args:
        images: the folder; those in it are read too.
        model: the folder of the model.
        out: where the tables go.
        request: what is asked of each image, as for `ExplainBatch`.
        actors: models that work at a time.
        gpus: of each of them; 0: it works on cores.
        cpus: of each of them.
        batch: images that a model is given at once.

    Returns:
        How many rows there are.
    """
    import ray.data  # noqa: PLC0415 - an optional part

    files = ray.data.read_binary_files(
        str(images), include_paths=True, file_extensions=sorted(suffix.removeprefix(".") for suffix in SUFFIXES)
    )
    rows = files.map_batches(
        ExplainBatch,
        fn_constructor_args=(str(model), request),
        batch_size=batch,
        batch_format="numpy",
        compute=ray.data.ActorPoolStrategy(size=actors),
        num_gpus=gpus or None,
        num_cpus=cpus,
    ).materialize()
    rows.write_parquet(str(out))
    return int(rows.count())


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the job and returns its exit status."""
    parser = argparse.ArgumentParser("python -m jobs.explain", description="Explains a folder of images with Ray Data.")
    parser.add_argument("images", type=Path, metavar="FOLDER", help="where the images are")
    parser.add_argument("--model", type=Path, required=True, metavar="FOLDER", help="the model's folder in the store")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where the Parquet tables go")
    parser.add_argument("--method", default="", help="id of the method (default: the model's)")
    parser.add_argument(
        "--request",
        type=json.loads,
        default={},
        metavar="JSON",
        help='more of what is asked, as an ExplainRequest: {"targets": [{"class_target": {"label": "star"}}]}',
    )
    parser.add_argument("--actors", type=int, default=1, help="models that work at a time (default: %(default)s)")
    parser.add_argument("--gpus", type=float, default=0.0, help="of each of them, such as 0.5 (default: none)")
    parser.add_argument("--cpus", type=float, default=1.0, help="of each of them (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=16, help="images at once (default: %(default)s)")
    parser.add_argument("--address", help="of a Ray cluster, such as auto (default: Ray runs inside this command)")
    options = parser.parse_args(arguments)
    try:
        import ray  # noqa: PLC0415 - an optional part
    except ModuleNotFoundError:
        print("this job needs Ray: pip install 'camserve-server[cluster]'", file=sys.stderr)
        return 1
    try:
        load_recipe(options.model)
    except RecipeError as error:
        print(error, file=sys.stderr)
        return 2
    ray.init(address=options.address, include_dashboard=False)
    try:
        rows = explain_images(
            options.images.resolve(),
            options.model.resolve(),
            options.out.resolve(),
            request=options.request | ({"method": options.method} if options.method else {}),
            actors=options.actors,
            gpus=options.gpus,
            cpus=options.cpus,
            batch=options.batch,
        )
    finally:
        ray.shutdown()
    print(f"{rows} rows: {options.out}")
    return 0


def _unwatched(_part: bytes) -> None:
    raise AssertionError("nobody watches")


def _column(values: list[Any]) -> Any:
    """Values of one column; lists stay what they are, though they may be of equal length."""
    column = np.empty(len(values), object)
    column[:] = [value.tolist() if isinstance(value, np.ndarray) else value for value in values]
    return column


if __name__ == "__main__":
    sys.exit(main())

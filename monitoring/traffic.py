"""Requests of every kind, so that there is something to watch."""

import io
from collections.abc import Callable, Iterable
from contextlib import suppress

from PIL import Image

from camserve import CamserveError, ExplanationClient, answer, caption, stream_item
from camserve.models import Model
from model_store.scenes.demo import demo_scenes
from model_store.scenes.drawing import draw

_SIDE = 112
_METHODS = ("grad-cam", "layer-cam", "eigen-cam")
_QUESTION = "what colour is the star?"


def pictures() -> list[bytes]:
    """The demo's scenes as PNG."""
    return [_png(Image.fromarray(draw(scene, _SIDE, _SIDE))) for _, scene in demo_scenes()]


def round_of_requests(client: ExplanationClient, images: Iterable[bytes]) -> None:
    """Sends each image through every kind of request; what is refused is part of it."""
    models = client.models()
    for image in images:
        for model in models:
            for ask in _requests(client, model, image):
                with suppress(CamserveError):
                    ask()


def _requests(client: ExplanationClient, model: Model, image: bytes) -> list[Callable[[], object]]:
    name, version = model.name, model.version
    target = {"caption": caption(), "answer": answer(_QUESTION)}.get(model.task)
    targets = [target] if target else []
    question = _QUESTION if model.task == "answer" else ""
    asked: list[Callable[[], object]] = [
        lambda: client.predict(image, model=name, version=version, question=question),
        lambda: client.explain(image, model=name, version=version, target=target, faithfulness=True),
        lambda: client.explain(image, model=name, version=version, target=target, renderings=["overlay_png"]),
        lambda: list(
            client.explain_progress(
                image, model=name, version=version, target=target, method="opti-cam", options={"steps": 5}
            )
        ),
        lambda: list(
            client.explain_stream(
                [stream_item(str(n), image, model=name, version=version, targets=targets) for n in "abc"]
            )
        ),
        lambda: client.explain(image, model="no-such-model"),
        lambda: client.explain(b"no picture", model=name),
    ]
    known = {method.id for method in model.methods}
    asked += [
        lambda method=method: client.explain(image, model=name, version=version, target=target, method=method)  # type: ignore[misc]
        for method in _METHODS
        if method in known
    ]
    return asked


def _png(picture: Image.Image) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return stream.getvalue()

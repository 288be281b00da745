"""A classifier behind a running server, seen from the pixels: what is measured is what callers get."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import grpc
import torch
from torch import Tensor
from torch.nn.functional import pad

from camserve import ExplanationClient, class_target
from camserve.errors import InvalidArgumentError, ResourceExhaustedError
from camserve.source import encode
from model_store.sections import Preprocessing

TOP: Final = 100
"""Most predictions that a server gives."""

_Answer = TypeVar("_Answer")


class ServedClassifier:
    """A classifier of a server, asked for one image a request, several requests at a time.

    Images go out as PNG, so what is not a whole number of 255ths is rounded. A model that cuts out the middle of a
    picture is sent one with a margin, so that what it cuts out is the image, to within a pixel. A full server is asked
    again after the time that it names.

    Attributes:
        name: and version, for reports.
        labels: of its classes.
        size: height and width of its input in pixels.
        mean: None, as servers do not tell it.
        layers: which are explained.
        digest: name and version: servers do not tell their weights.
    """

    mean = None

    def __init__(
        self,
        address: str,
        model: str,
        *,
        parallel: int,
        timeout: float,
        credentials: grpc.ChannelCredentials | None = None,
        token: str = "",
    ) -> None:
        """Asks a server for a model.

        Args:
            address: of the server, host and port.
            model: its name.
            parallel: requests under way at a time.
            timeout: seconds that a request may take, with all that it waits for.
            credentials: for a server that speaks TLS.
            token: for one that asks for it.

        Raises:
            CamserveError: no server answers there, or it has no such model.
            InvalidArgumentError: the model is no classifier.
            ValueError: the token would go over an open connection.
        """
        self._client = ExplanationClient(address, timeout=timeout, credentials=credentials, token=token)
        self._calls = ThreadPoolExecutor(parallel)
        self._timeout = timeout
        served = self._client.model(model)
        if served.task != "classify":
            reason = f"{model}: its task is {served.task}; only classifiers can be evaluated"
            raise InvalidArgumentError(reason, "TASK_UNSUITABLE")
        self._model, self._fit = model, served.fit
        self.name = f"{served.name} {served.version} at {address}"
        self.labels = served.labels
        self.size = served.input_size
        self.layers = served.default_layers
        self.digest = f"{served.name} {served.version}"
        self._share = self._seen_share()
        self._margins = tuple(round((side / self._share - side) / 2) for side in self.size)

    def probabilities(self, images: Tensor) -> Tensor:
        """Probabilities ``[R, classes]`` of images ``[R, 3, H, W]`` in [0, 1].

        Of more than ``TOP`` classes, the others get equal parts of what is left, which is at most what the last of
        these has.

        Raises:
            CamserveError: the server failed, or did not answer in time.
        """
        top = min(TOP, len(self.labels))

        def ask(image: Tensor) -> Tensor:
            found = self._patiently(lambda: self._client.predict(self._encoded(image), model=self._model, top_k=top))
            known = torch.tensor([prediction.probability for prediction in found.predictions])
            rest = (1 - known.sum()).clamp_min(0.0) / max(1, len(self.labels) - top)
            indices = torch.tensor([prediction.index for prediction in found.predictions])
            return rest.repeat(len(self.labels)).scatter(0, indices, known)

        return torch.stack(list(self._calls.map(ask, images)))

    def maps(self, images: Tensor, classes: Tensor, method: str, options: Mapping[str, Any]) -> Tensor:
        """Raw maps ``[N, h, w]`` of images ``[N, 3, H, W]`` in [0, 1] for a class each.

        Raises:
            CamserveError: the server refused or failed, or did not answer in time.
        """

        def ask(image: Tensor, index: int) -> Tensor:
            found = self._patiently(
                lambda: self._client.explain(
                    self._encoded(image),
                    model=self._model,
                    target=class_target(index),
                    method=method,
                    options=options,
                )
            )
            return torch.from_numpy(found.explanation.heatmap.values.copy())

        return torch.stack(list(self._calls.map(ask, images, classes.tolist())))

    @property
    def preprocessing(self) -> Preprocessing:
        """What is done to pictures before they are sent, so that the model sees what it would see of them itself."""
        cut = {"crop_share": self._share} if self._fit == "crop" else {}
        return Preprocessing.model_validate(
            {"size": self.size, "fit": self._fit, "mean": (0.0,) * 3, "std": (1.0,) * 3, **cut}
        )

    def close(self) -> None:
        """Ends what is under way."""
        self._calls.shutdown(cancel_futures=True)
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _seen_share(self) -> float:
        """The share of a picture of the input's own shape that the model looks at, along each side."""
        if self._fit != "crop":
            return 1.0
        probe = torch.full((3, *self.size), 0.5)
        found = self._patiently(lambda: self._client.explain(encode(_bytes(probe)), model=self._model))
        box = found.explanation.heatmap.box
        return (box.right - box.left) / self.size[1]

    def _encoded(self, image: Tensor) -> bytes:
        rows, columns = self._margins
        return encode(_bytes(pad(image[None], (columns, columns, rows, rows), mode="replicate")[0]))

    def _patiently(self, ask: Callable[[], _Answer]) -> _Answer:
        """Asks again while the server is full, for as long as a request may take."""
        end = time.monotonic() + self._timeout
        while True:
            try:
                return ask()
            except ResourceExhaustedError as error:
                if error.retry_after is None or time.monotonic() + error.retry_after > end:
                    raise
                time.sleep(error.retry_after)


def _bytes(image: Tensor) -> Any:
    """uint8 ``[H, W, 3]``."""
    return (image * 255).round().clamp(0, 255).byte().permute(1, 2, 0).contiguous().numpy()

"""Fuzzing that follows what the code does: ``python -m tests.hostility.fuzz {image,header,pack} [libFuzzer options]``.

Needs the extra ``fuzz``. Ends at once with the input, if anything but an error of the caller is raised.
"""

import sys
from collections.abc import Callable

import atheris

with atheris.instrument_imports(include=["PIL", "camserve", "handlers.pack"]):
    from camserve.errors import InvalidArgumentError
    from camserve.image import ImageLimits, decode, read_header
    from camserve.worker.v1 import worker_pb2 as wire
    from handlers.pack import answer

from tests.hostility.servable import Picky

_LIMITS = ImageLimits(max_pixels=1_000_000)


def image(data: bytes) -> None:
    """An image decodes, to the size of its header, or is refused."""
    try:
        pixels = decode(data, _LIMITS)
    except InvalidArgumentError:
        return
    header = read_header(data, _LIMITS)
    if pixels.shape != (header.height, header.width, 3):
        raise AssertionError(f"{pixels.shape} is not what the header says: {header}")


def header(data: bytes) -> None:
    """A header is read, or refused."""
    try:
        read_header(data)
    except InvalidArgumentError:
        return


def pack(data: bytes) -> None:
    """The handler answers whatever pack it gets."""
    result = wire.PackResult.FromString(answer(Picky(), data, lambda _: None))
    if result.WhichOneof("result") is None:
        raise AssertionError("no answer")


TARGETS: dict[str, Callable[[bytes], None]] = {"image": image, "header": header, "pack": pack}

if __name__ == "__main__":
    target = TARGETS[sys.argv.pop(1)]
    atheris.Setup(sys.argv, target)
    atheris.Fuzz()

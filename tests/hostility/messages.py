"""Messages that no server should fall for: noise, broken encodings, and requests of fields that mean nothing."""

import random
from collections.abc import Iterator, Sequence
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from camserve.v1 import explanation_pb2 as pb
from tests.hostility.images import malformed_images, sound_image

METHODS: dict[str, type[Message]] = {
    "Explain": pb.ExplainRequest,
    "Predict": pb.PredictRequest,
    "GetModel": pb.GetModelRequest,
    "ListModels": pb.ListModelsRequest,
}
"""Methods of one request and one response, with the type of the request."""

_TEXTS = (
    "",
    " ",
    "a",
    "grad-cam",
    "\0",
    "é" * 600,
    "../../etc/passwd",
    "{{7*7}}",
    "[METRICS]a.b:1|#",
    "🙂",
    "a" * 5000,
)
_NUMBERS = (0, 1, -1, 2, 7, 255, 2**31 - 1, -(2**31))
_FLOATS = (0.0, 1.0, -1.0, 1e38, float("inf"), float("-inf"), float("nan"), 1e-40)


def fuzzed_messages(count: int, models: Sequence[str], seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """So many messages, each with the method that it is for; the same for the same seed.

    Args:
        count: how many.
        models: names of models that are served; without one of these nothing else of a request would be looked at.
        seed: of the choices.
    """
    choose = random.Random(seed)  # noqa: S311 - nothing here is a secret
    images = [*malformed_images().values(), sound_image("PNG"), sound_image("JPEG")]
    for _ in range(count):
        method = choose.choice([*METHODS, "Explain", "Explain", "Predict"])
        kind = choose.random()
        if kind < 0.1:
            yield method, choose.randbytes(choose.choice((1, 2, 10, 100, 1000)))
            continue
        message = METHODS[method]()
        _fill(message, choose, depth=3)
        if choose.random() < 0.9:
            for field, values in (("model", models), ("name", models), ("image", images)):
                if field in message.DESCRIPTOR.fields_by_name:
                    setattr(message, field, choose.choice(values))
        data = message.SerializeToString()
        yield method, _broken(data, choose) if kind < 0.4 else data


def _broken(data: bytes, choose: random.Random) -> bytes:
    """One of the ways in which bytes go wrong."""
    if not data:
        return b"\xff"
    at = choose.randrange(len(data))
    flipped = bytes([data[at] ^ (1 << choose.randrange(8))])
    return choose.choice(
        (
            data[:at],
            data[:at] + flipped + data[at + 1 :],
            data[:at] + choose.randbytes(4) + data[at:],
            data + data,
            data + b"\xfa\xff\xff\xff\x0f\x7f",  # a field of the largest number, longer than what follows
            b"\x0b" * 200 + data,  # groups within groups
        )
    )


def _fill(message: Message, choose: random.Random, depth: int) -> None:
    for field in message.DESCRIPTOR.fields:
        if choose.random() < 0.6:
            continue
        if field.is_repeated:
            values = [_value(field, choose, depth) for _ in range(choose.choice((1, 1, 2, 3, 20)))]
            getattr(message, field.name).extend(value for value in values if value is not None)
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            if depth:
                _fill(getattr(message, field.name), choose, depth - 1)
        else:
            setattr(message, field.name, _value(field, choose, depth))


def _value(field: Any, choose: random.Random, depth: int) -> Any:
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        if not depth:
            return None
        message = field.message_type._concrete_class()
        _fill(message, choose, depth - 1)
        return message
    if field.type == FieldDescriptor.TYPE_BYTES:
        return choose.randbytes(50)
    return {
        FieldDescriptor.CPPTYPE_STRING: choose.choice(_TEXTS),
        FieldDescriptor.CPPTYPE_BOOL: choose.random() < 0.5,
        FieldDescriptor.CPPTYPE_FLOAT: choose.choice(_FLOATS),
        FieldDescriptor.CPPTYPE_DOUBLE: choose.choice(_FLOATS),
        FieldDescriptor.CPPTYPE_UINT32: abs(choose.choice(_NUMBERS)),
        FieldDescriptor.CPPTYPE_UINT64: abs(choose.choice(_NUMBERS)),
        FieldDescriptor.CPPTYPE_INT32: choose.choice(_NUMBERS),
        FieldDescriptor.CPPTYPE_INT64: choose.choice(_NUMBERS),
        FieldDescriptor.CPPTYPE_ENUM: choose.choice(_NUMBERS),
    }[field.cpp_type]

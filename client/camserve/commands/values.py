"""Values of arguments: what a text of the command line has to be, and what it becomes."""

import argparse
import math
from collections.abc import Callable
from pathlib import Path

from camserve.targets import class_target
from camserve.v1 import explanation_pb2 as pb

_PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


def class_selector(selector: str, text: str) -> pb.Target:
    """A class by its ``label``, ``index`` or ``rank``."""
    if selector == "label":
        return class_target(label=text)
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number from 0, got {text!r}")
    return class_target(index=int(text)) if selector == "index" else class_target(rank=int(text))


def method_option(text: str) -> tuple[str, int | float | str]:
    """A knob of a method, as ``NAME=VALUE``."""
    name, equals, value = text.partition("=")
    field = pb.MethodOptions.DESCRIPTOR.fields_by_name.get(name)
    if field is None or not equals:
        known = ", ".join(pb.MethodOptions.DESCRIPTOR.fields_by_name)
        raise argparse.ArgumentTypeError(f"expected NAME=VALUE with a name of {known}; got {text!r}")
    if field.cpp_type == field.CPPTYPE_STRING:
        return name, value
    whole = field.cpp_type in (field.CPPTYPE_UINT32, field.CPPTYPE_UINT64)
    number = _number(value, f"{name} to be {'a whole number from 0' if whole else 'a number'}", math.isfinite)
    if whole and (number < 0 or number != int(number)):
        raise argparse.ArgumentTypeError(f"expected {name} to be a whole number from 0, got {value!r}")
    return name, int(number) if whole else number


def method_ids(text: str) -> tuple[str, ...]:
    """Methods as ``ID,ID,...``, each once."""
    ids = tuple(dict.fromkeys(filter(None, (part.strip() for part in text.split(",")))))
    if not ids:
        raise argparse.ArgumentTypeError("expected methods such as grad-cam,layer-cam; or quick, or all")
    return ids


def streams(text: str) -> int:
    """How many streams, 1 to 64."""
    return int(_number(text, "a whole number from 1 to 64", lambda value: 1 <= value <= 64 and value == int(value)))


def seconds(text: str) -> float:
    """Seconds above 0."""
    return _number(text, "seconds above 0", lambda value: value > 0)


def opacity(text: str) -> float:
    """A share, 0 to 1."""
    return _number(text, "a number from 0 to 1", lambda value: 0 <= value <= 1)


def picture_path(text: str) -> Path:
    """Where a picture can be written."""
    path = Path(text)
    if path.suffix.lower() not in _PICTURE_SUFFIXES:
        raise argparse.ArgumentTypeError(f"expected a file name that ends in {', '.join(_PICTURE_SUFFIXES)}: {text!r}")
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {str(path.parent)!r}; make it first")
    return path


def _number(text: str, expected: str, fits: Callable[[float], bool]) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not fits(value):
        raise argparse.ArgumentTypeError(f"expected {expected}, got {text!r}")
    return value

"""The methods as a table in Markdown, made from the registry: ``python -m saliency.table``."""

import sys
from collections.abc import Iterator

import saliency

_HEAD = """\
# Methods

Made from the registry by `make docs`; do not edit. C is the number of channels of the layer, h x w its size. A *head*
is what the model does after the layer. Every method takes several targets per image in the same passes.

| method | needs | passes per image | options | paper |
|---|---|---|---|---|
"""


def table() -> str:
    """A line for each method, by id."""
    return _HEAD + "".join(f"| {' | '.join(_cells(method))} |\n" for method in saliency.methods())


def _cells(method: type[saliency.Method]) -> Iterator[str]:
    yield f"`{method.id}`" + (" (ignores the target)" if method.class_agnostic else "")
    yield method.needs
    yield method.passes
    yield "; ".join(map(_option, method.options())) or "none"
    yield method.paper


def _option(option: saliency.Option) -> str:
    if option.choices:
        bounds = ", ".join(option.choices)
    else:
        bounds = (
            f"{option.minimum:g} to {option.maximum:g}" if option.maximum is not None else f"from {option.minimum:g}"
        )
    return f"`{option.name}` = {option.default} ({bounds}): {option.description}"


if __name__ == "__main__":
    sys.stdout.write(table())

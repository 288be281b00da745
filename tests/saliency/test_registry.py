"""The registry: ids, aliases and options."""

from typing import Any

import pytest

from saliency import OptionError, UnknownMethodError, explain, method, methods
from tests.nets import images, make


def test_ids_aliases_and_papers() -> None:
    seen: set[str] = set()
    for cls in methods():
        assert cls.paper
        assert cls.__doc__
        names = {cls.id, *cls.aliases}
        assert not names & seen
        seen |= names
        assert all(method(name) is cls for name in names)
    assert [cls.id for cls in methods()] == sorted(cls.id for cls in methods())


def test_spelling_is_lenient_and_unknown_methods_name_near_ones() -> None:
    assert method("GradCAM") is method("grad-cam") is method("grad_cam")
    with pytest.raises(UnknownMethodError, match=r"no method 'grad-cm'; near: grad-cam"):
        method("grad-cm")


@pytest.mark.parametrize(
    ("options", "message"),
    [({"steps": 3}, "has no option 'steps'; it has fusion"), ({"fusion": "sum"}, "must be one of mean, max, product")],
)
def test_options_are_checked(options: dict[str, Any], message: str) -> None:
    net, layer = make("gap head")
    with pytest.raises(OptionError, match=message):
        explain(net, images(1), [0], "grad-cam", layer, **options)


def test_options_are_documented() -> None:
    for cls in methods():
        for option in cls.options():
            assert option.description
            option.check(option.default)

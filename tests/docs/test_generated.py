"""The pages that are made from the code are current."""

import sys

import pytest

import saliency
from docs._generate import commands, gallery, protocol, settings
from tests.machine import ROOT

DOCS = ROOT / "docs"


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("gallery.md", gallery.text),
        ("settings.md", settings.text),
        ("api/protocol.md", protocol.text),
        pytest.param(
            "api/commands.md",
            commands.text,
            marks=pytest.mark.skipif(sys.version_info >= (3, 13), reason="argparse of 3.13 prints options otherwise"),
        ),
    ],
)
def test_pages_are_current(page: str, text: object) -> None:
    assert callable(text)
    assert (DOCS / page).read_text(encoding="utf-8") == text(), "run: make docs"


def test_every_method_has_its_picture_or_a_reason() -> None:
    page = (DOCS / "gallery.md").read_text(encoding="utf-8")
    without = {method.id for method in saliency.methods() if not (DOCS / gallery.picture_of(method)).is_file()}
    assert without == {"attention-rollout", "gradient-attention"}
    assert page.count("*No picture:") == len(without)
    assert page.count("](gallery/") == len(saliency.methods()) - len(without)

"""``camserve explain --grid``: methods side by side."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from camserve import ExplanationClient, comparison_sheet
from camserve.cli import main
from tests.client.fake_service import FakeService

pytestmark = pytest.mark.usefixtures("server")


def test_a_grid_is_one_table_and_one_picture(
    picture: str, tmp_path: Path, service: FakeService, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "grid.png"
    assert main(["explain", picture, "--class", "star", "--grid", "grad-cam,layer-cam", "--out", str(out)]) == 0
    assert [request.method for request in service.requests] == ["grad-cam", "layer-cam"]
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["method", "target", "strongest", "at", "ms"] in lines
    assert [line[:2] for line in lines if line[:1] == ["layer-cam"]] == [["layer-cam", "star"]]
    assert lines[-1] == ["wrote", str(out)]
    assert Image.open(out).width > 3 * 224  # the image and two maps


@pytest.mark.parametrize(
    ("wanted", "run"),
    [("quick", ["cam", "grad-cam"]), ("all", ["cam", "grad-cam", "opti-cam"]), ("x,x", ["x"]), ("quick,x", ["x"])],
)
def test_groups_of_methods_are_spelt_out(picture: str, service: FakeService, wanted: str, run: list[str]) -> None:
    assert main(["explain", picture, "--grid", wanted]) == 0
    assert [request.method for request in service.requests][-len(run) :] == run


def test_a_method_that_does_not_suit_is_left_out(picture: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", picture, "--grid", "cam,grad-cam", "--faithfulness", "--json"]) == 0
    printed = capsys.readouterr()
    assert printed.err == "left out: cam does not work here\n"
    (response,) = json.loads(printed.out)
    assert response["explanations"][0]["heatmap"]["values"] == [[0, 1], [2, 8]]
    assert main(["explain", picture, "--grid", "grad-cam", "--faithfulness"]) == 0
    assert "12.5 %" in capsys.readouterr().out
    assert main(["explain", picture, "--grid", "cam"]) == 2


@pytest.mark.parametrize("option", [["--method", "grad-cam"], ["--per-token"], ["--progress"], ["--option", "steps=2"]])
def test_what_a_grid_does_not_go_with(picture: str, option: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", picture, "--grid", "quick", *option]) == 2
    assert option[0] in capsys.readouterr().err


def test_a_sheet_compares_maps_of_one_image(picture: str, server: str) -> None:
    with ExplanationClient(server) as client:
        first = client.explain(picture, model="scenes-classifier").explanation
        other = client.explain(np.zeros((20, 20), np.uint8), model="scenes-classifier").explanation
    plain, titled = comparison_sheet([first, first]), comparison_sheet([first, first], "twice")
    assert plain.width == titled.width
    assert plain.height < titled.height
    for wrong in ([], [first, other]):
        with pytest.raises(ValueError, match="of the same image"):
            comparison_sheet(wrong)

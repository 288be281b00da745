"""The notebook runs from its first cell to its last."""

import nbformat
import pytest
from nbclient import NotebookClient

from gateway.launcher.server import Server
from tests.machine import ROOT

pytestmark = pytest.mark.slow


def test_the_tour_runs(scenes: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAMSERVE_SERVER", scenes.address)
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "client"))
    notebook = nbformat.read(ROOT / "examples/tour.ipynb", as_version=4)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(ROOT)}}).execute()
    pictures = [
        output for cell in notebook.cells for output in cell.get("outputs", []) if "image/png" in output.get("data", {})
    ]
    assert len(pictures) == 6

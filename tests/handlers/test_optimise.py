"""Compiled trunks: they give what the network gives, and where they do not, it runs as it is."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from handlers import optimise
from handlers.network import load_network
from handlers.optimise import compile_trunk, optimised
from model_store.archive import TRUNK_FILE
from model_store.recipe import RecipeError, load_recipe
from saliency import explain
from saliency.layers import Layer
from tests.handlers.conftest import FolderFactory

CPU = torch.device("cpu")


def networks(folder: Path) -> tuple[nn.Module, nn.Module]:
    """A folder's network as it is, and as a worker has it."""
    recipe = load_recipe(folder)
    return load_network(recipe, folder, CPU), optimised(recipe, folder, load_network(recipe, folder, CPU), CPU)


def images(count: int = 3) -> Tensor:
    return torch.randn(count, 3, 32, 48, generator=torch.Generator().manual_seed(2))


def has_trunk(network: nn.Module) -> bool:
    return "forward" in vars(network)


@pytest.mark.slow
@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-4), ("bfloat16", 3e-2)])
def test_a_compiled_trunk_gives_the_maps_of_the_network(
    folder: FolderFactory, precision: str, tolerance: float
) -> None:
    model = folder(optimize={"precision": precision})
    compile_trunk(model, model / TRUNK_FILE)
    plain, fast = networks(model)
    assert has_trunk(fast)
    expected, found = explain(plain, images(), [[0, 2]] * 3), explain(fast, images(), [[0, 2]] * 3)
    assert (expected.maps - found.maps).norm() <= tolerance * expected.maps.norm()
    assert (expected.outputs - found.outputs).norm() <= tolerance * expected.outputs.norm()


def as_if_compiled(monkeypatch: pytest.MonkeyPatch, run: Any) -> None:
    monkeypatch.setattr(optimise, "_load", lambda _file, network: (Layer("trunk", network.trunk), run(network)))


def test_a_trunk_that_gives_something_else_is_not_used(
    folder: FolderFactory, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    model = folder(optimize=True)
    (model / TRUNK_FILE).touch()
    as_if_compiled(monkeypatch, lambda network: lambda given: 1.01 * network.trunk(given))
    plain, fast = networks(model)
    assert not has_trunk(fast)
    assert "tiny runs without its compiled trunk: it is 0.01 away from the network's own" in caplog.text
    torch.testing.assert_close(explain(fast, images()).maps, explain(plain, images()).maps)


def test_a_trunk_that_fits_is_used(folder: FolderFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    model = folder(optimize=True)
    (model / TRUNK_FILE).touch()
    as_if_compiled(monkeypatch, lambda network: network.trunk.forward)
    assert has_trunk(networks(model)[1])


def test_a_trunk_that_cannot_be_read_is_told(folder: FolderFactory, caplog: pytest.LogCaptureFixture) -> None:
    model = folder(optimize=True)
    (model / TRUNK_FILE).write_bytes(b"no archive")
    assert not has_trunk(networks(model)[1])
    assert "tiny runs without its compiled trunk" in caplog.text


def test_what_does_not_ask_for_it_is_not_compiled(folder: FolderFactory, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="optimize: the recipe does not ask for it"):
        compile_trunk(folder(), tmp_path / TRUNK_FILE)

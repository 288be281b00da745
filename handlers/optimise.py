"""Compiled trunks: what ``optimize`` in a recipe asks for.

``python -m handlers.optimise FOLDER FILE`` compiles a network's trunk ahead of time, with its weights, for the
processor it runs on, and a worker loads that: it needs no compiler and does not wait for one. What it is given is
checked against the network itself, and the network runs as it is where anything does not fit.

The compiler (PyTorch's AOTInductor) folds batch norms into convolutions, fuses what follows them, lays memory out with
channels last and packs weights for oneDNN. It packs them only for a batch of a known size, and for a number of threads.
On a CPU a batch is no faster than its images in turn, so the trunk is compiled for one image; a worker runs as many
threads as its trunk is packed for.
"""

import argparse
import logging
import platform
import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from handlers.network import load_network
from model_store.archive import TRUNK_FILE, trunk_threads
from model_store.cores import cores
from model_store.recipe import Recipe, RecipeError, load_recipe
from saliency.choice import resolve
from saliency.layers import Layer
from saliency.trunk import Run, Trunk, find_cut, run_by

log = logging.getLogger(__name__)

TOLERANCE = {"float32": 1e-3, "bfloat16": 5e-2}
"""How far what a compiled trunk gives may be from the network's own: the norm of the difference, in norms of it."""

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
_CUT = "camserve_cut"
_BUILT_FOR = "camserve_built_for"
_THREADS = "camserve_threads"


class _Cast(nn.Module):
    """A trunk in another precision that takes and gives float32."""

    def __init__(self, trunk: Trunk, dtype: torch.dtype) -> None:
        super().__init__()
        self._trunk, self._dtype = trunk, dtype

    def forward(self, images: Tensor) -> Tensor:
        """What the cut gives for images ``[1, 3, H, W]``."""
        given: Tensor = self._trunk(images.to(self._dtype))
        return given.float()


def compile_trunk(folder: Path, file: Path) -> None:
    """Compiles the trunk of a model's network into a file.

    Raises:
        RecipeError: the recipe is wrong.
        LayerError: the network has no trunk.
        Exception: whatever a compiler that is missing or fails raises.
    """
    recipe = load_recipe(folder)
    if recipe.optimize is None:
        raise RecipeError(f"{folder}: optimize: the recipe does not ask for it")
    network = load_network(recipe, folder, torch.device("cpu"))
    example = _example(recipe)
    cut = _cut(recipe, network, example)
    dtype = _DTYPES[recipe.optimize.precision]
    threads = trunk_threads(recipe)
    torch.set_num_threads(threads)
    trunk = _Cast(Trunk(network.to(dtype), cut), dtype)
    with torch.no_grad():  # else nothing is frozen
        program = torch.export.export(trunk, (example,), strict=False)
        torch._inductor.aoti_compile_and_package(
            program,
            package_path=str(file),
            inductor_configs={
                "freezing": True,  # weights are constants, to be folded and packed
                "cpp.dynamic_threads": True,  # else as many threads as there are now, for ever
                "aot_inductor.metadata": {_CUT: cut.name, _BUILT_FOR: _here(), _THREADS: str(threads)},
            },
        )


def optimised(recipe: Recipe, folder: Path, network: nn.Module, device: torch.device) -> nn.Module:
    """The network, with its compiled trunk wherever that serves; as it was if there is none or it does not fit.

    Args:
        recipe: the model's.
        folder: where its files lie, and the compiled trunk if the folder comes of an archive.
        network: with its weights, on its device.
        device: where it is.
    """
    file = folder / TRUNK_FILE
    if recipe.optimize is None or not file.is_file() or device.type != "cpu":
        return network
    try:
        example = _example(recipe)
        cut, run = _load(file, network)
        _check(network, cut, run, example, TOLERANCE[recipe.optimize.precision])
        run_by(network, cut, example, run)
    except Exception as error:  # a model that is slow serves better than none
        log.warning("%s runs without its compiled trunk: %s", recipe.name, error)
    return network


def _load(file: Path, network: nn.Module) -> tuple[Layer, Run]:
    compiled = torch._inductor.aoti_load_package(str(file))
    facts = compiled.loader.get_metadata()
    if facts[_BUILT_FOR] != _here():
        raise ValueError(f"it was built for {facts[_BUILT_FOR]}, and this is {_here()}; build the archive here")
    threads = int(facts[_THREADS])
    if threads > cores():
        raise ValueError(
            f"its weights are packed for {threads} threads, and this machine has {cores()} cores; set worker.threads in"
            " the recipe, or build the archive here"
        )
    torch.set_num_threads(threads)  # with another number weights are packed anew in each run

    def run(images: Tensor) -> Tensor:
        given: list[Tensor] = [compiled(image[None].contiguous()) for image in images]  # the layout it was made for
        return given[0] if len(given) == 1 else torch.cat(given)

    return Layer(facts[_CUT], network.get_submodule(facts[_CUT])), run


def _check(network: nn.Module, cut: Layer, run: Run, example: Tensor, tolerance: float) -> None:
    """Sees that both trunks give the same, but for rounding.

    Raises:
        ValueError: they do not.
    """
    with torch.no_grad():
        own, its = Trunk(network, cut)(example), run(example)
    away = float((own - its).norm() / own.norm())
    if own.shape != its.shape or not away <= tolerance:
        raise ValueError(f"it is {away:.2g} away from the network's own, where {tolerance:g} is allowed")


def _cut(recipe: Recipe, network: nn.Module, example: Tensor) -> Layer:
    """The last cut that no layer explained by default lies before."""
    with torch.no_grad():
        layers = resolve(network, list(recipe.explanation.layers) or None, example)
        return find_cut(network, example, layers[0])


def _example(recipe: Recipe) -> Tensor:
    """Noise, of which all of a network has something to do."""
    return torch.randn(1, 3, *recipe.preprocessing.size, generator=torch.Generator().manual_seed(0))


def _here() -> str:
    """What a compiled trunk hangs on."""
    return f"torch {torch.__version__}, {platform.machine()}, {torch.backends.cpu.get_cpu_capability()}"


def main() -> None:
    """Compiles a trunk, for whoever builds archives."""
    parser = argparse.ArgumentParser(prog="python -m handlers.optimise", description=compile_trunk.__doc__)
    parser.add_argument("folder", type=Path, help="the model's")
    parser.add_argument("file", type=Path, help="what to write")
    options = parser.parse_args()
    try:
        compile_trunk(options.folder, options.file)
    except Exception as error:
        sys.exit(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()

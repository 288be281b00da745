"""Recipes: what a servable model is made of, read from the ``recipe.yaml`` of its folder."""

import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import yaml
from pydantic import ValidationError, model_validator
from pydantic_core import ErrorDetails

from model_store.sections import (
    Explanation,
    FilePath,
    Labels,
    Limits,
    Line,
    Name,
    Optimization,
    Preprocessing,
    Section,
    Source,
    Units,
    Version,
    Weights,
    Worker,
)

RECIPE_FILE = "recipe.yaml"
"""Name of a recipe inside its model's folder."""


class RecipeError(ValueError):
    """A recipe is missing or wrong; the message names the file, each key at fault and the remedy."""


class Recipe(Section):
    """A servable model.

    Attributes:
        name: what requests call it.
        version: of the model; several versions of one name may be served.
        default: whether a request that names no version may be answered by this one. Of several such versions the
            highest does, and so it does where there is no such version.
        task: ``classify``, ``caption`` or ``answer``.
        description: one line.
        source: the network.
        weights: its weights.
        labels: of the classes or answers, in index order, as given or as read from ``labels_file``; None: the
            source's own, where it has any.
        labels_file: UTF-8 text, a label a line, in the folder.
        vocabulary: UTF-8 text, a word a line, in the folder: what a captioner or answerer of ``source.python`` reads
            and writes, in the order of its token ids; see :class:`model_store.words.Words`.
        units: channels that have names, as given or as read from ``units_file``; None: they have none.
        units_file: YAML in the folder, as ``python -m evaluation.dissection`` writes it.
        preprocessing: from image to input.
        optimize: ``true``, or ``{precision: bfloat16}``: the trunk of a classifier is compiled into its archive, and
            runs where the processor is the one it was compiled for.
        explanation: the defaults of an explanation.
        limits: bounds on requests.
        worker: the processes.
    """

    name: Name
    version: Version
    default: bool = True
    task: Literal["classify", "caption", "answer"]
    description: Line
    source: Source
    weights: Weights
    labels: Labels | None = None
    labels_file: FilePath | None = None
    vocabulary: FilePath | None = None
    units: Units | None = None
    units_file: FilePath | None = None
    preprocessing: Preprocessing
    optimize: Optimization = None
    explanation: Explanation = Explanation()
    limits: Limits = Limits()
    worker: Worker = Worker()

    @model_validator(mode="after")
    def _check(self) -> "Recipe":
        if self.source.python and self.weights.pretrained:
            raise ValueError("weights.pretrained goes with a library's network; give weights.file for source.python")
        if self.source.transformers and self.source.transformers.config and self.weights.pretrained:
            raise ValueError("weights.pretrained goes with source.transformers.name; give weights.file for a config")
        if self.task != "classify" and not (self.source.python or self.source.transformers):
            raise ValueError(f"source must be python or transformers for the task {self.task}; others have classifiers")
        if self.optimize and self.task != "classify":
            raise ValueError(f"optimize is for classifiers, not for the task {self.task}; remove it")
        if (self.vocabulary is not None) != (self.task != "classify" and self.source.python is not None):
            raise ValueError("vocabulary goes with source.python of a captioner or answerer, and with it only")
        return self

    @property
    def files(self) -> tuple[str, ...]:
        """Every file of the folder that the model needs, the recipe among them."""
        return (RECIPE_FILE, *self.named_files.values())

    @property
    def named_files(self) -> dict[str, str]:
        """The files that the recipe names, by key."""
        python, transformers = self.source.python, self.source.transformers
        named = {
            "source.python.file": python.file if python else None,
            "source.transformers.config": transformers.config if transformers else None,
            "weights.file": self.weights.file,
            "labels_file": self.labels_file,
            "vocabulary": self.vocabulary,
            "units_file": self.units_file,
        }
        if transformers:
            named |= {f"source.transformers.files[{i}]": file for i, file in enumerate(transformers.files)}
        return {key: file for key, file in named.items() if file}


def load_recipe(path: Path, *, units: bool = True) -> Recipe:
    """Reads and checks a recipe and the presence of the files it names.

    Args:
        path: a model's folder, or the recipe in it.
        units: whether ``units_file`` is read; what is to write it does without.

    Raises:
        RecipeError: with every fault that was found.
    """
    file = path / RECIPE_FILE if path.is_dir() else path
    data = dict(_read(file))
    if not units:
        data.pop("units_file", None)
    try:
        recipe = Recipe.model_validate(data)
        problems = _file_problems(recipe, file.parent)
        if not problems:
            recipe = Recipe.model_validate({**data, **_contents(recipe, file.parent)})
            problems = _units_problems(recipe, file.parent)
    except ValidationError as error:
        problems = [_describe(fault) for fault in error.errors()]
    if problems:
        raise RecipeError("\n".join(f"{file}: {problem}" for problem in problems))
    return recipe


def model_folders(store: Path) -> list[Path]:
    """The folders of a model store that hold a recipe, in order of their names.

    Raises:
        RecipeError: if there is none.
    """
    folders = sorted(file.parent for file in store.glob(f"*/{RECIPE_FILE}"))
    if not folders:
        raise RecipeError(f"{store}: no folder here holds a {RECIPE_FILE}; name the right model store")
    return folders


def read_lines(file: Path) -> list[str]:
    """The lines of a model's text file that are not blank, such as labels or words.

    Raises:
        RecipeError: the file cannot be read as UTF-8 text.
    """
    return [line.strip() for line in _text(file).splitlines() if line.strip()]


def _contents(recipe: Recipe, folder: Path) -> Mapping[str, object]:
    """What the recipe leaves to files: its labels, and the names of units."""
    found: dict[str, object] = {}
    if recipe.labels_file:
        found["labels"] = read_lines(folder / recipe.labels_file)
    if recipe.units_file:
        found["units"] = _read(folder / recipe.units_file)
    return found


def _read(file: Path) -> Mapping[str, object]:
    try:
        data = yaml.safe_load(_text(file))
    except yaml.YAMLError as error:
        raise RecipeError(f"{file}: not readable as YAML: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict):
        raise RecipeError(f"{file}: must be a mapping of keys, such as name and version in a {RECIPE_FILE}")
    return data


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise RecipeError(f"{file}: no such file; a model's folder holds a {RECIPE_FILE}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{file}: not readable as UTF-8 text: {error}") from error


def _file_problems(recipe: Recipe, folder: Path) -> list[str]:
    problems = []
    if recipe.labels and recipe.labels_file:
        problems.append("labels: give labels or labels_file, not both")
    if recipe.units and recipe.units_file:
        problems.append("units: give units or units_file, not both")
    for key, name in recipe.named_files.items():
        file = folder / name
        if not file.is_file():
            problems.append(f"{key}: there is no file {file}; add it or mend the name")
        elif not file.resolve().is_relative_to(folder.resolve()):
            problems.append(f"{key}: {name} leads out of the model's folder; put the file itself there")
    if not problems and recipe.weights.file:
        fault = _weights_fault(folder / recipe.weights.file)
        if fault:
            problems.append(f"weights.file: {recipe.weights.file} {fault}")
    return problems


def _units_problems(recipe: Recipe, folder: Path) -> list[str]:
    """Names of units say nothing of other weights than those they were found in."""
    if recipe.units is None or recipe.units.weights is None:
        return []
    file = recipe.weights.file
    if file and hashlib.sha256((folder / file).read_bytes()).hexdigest() == recipe.units.weights:
        return []
    return [
        "units: they were found in other weights than the model's; find them again with"
        f" `python -m evaluation.dissection --model {folder}`"
    ]


def _weights_fault(file: Path) -> str | None:
    """Looks at the outer form only: enough to tell a cut-off download, a pointer file or a bare pickle."""
    if file.suffix == ".safetensors":
        with file.open("rb") as stream:
            head = stream.read(9)
        header = int.from_bytes(head[:8], "little")
        if head[8:] == b"{" and 8 + header <= file.stat().st_size:
            return None
        return "is not a whole safetensors file; fetch or train the weights again"
    if zipfile.is_zipfile(file):
        return None
    return "is not a file of torch.save in its zip form; save the state dict again, best as safetensors"


def _describe(fault: ErrorDetails) -> str:
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in fault["loc"]).lstrip(".")
    message = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "extra_forbidden":
        message = "not a key of recipes; remove it or mend its spelling"
    elif fault["type"] == "missing":
        message = "is missing; add it"
    elif fault["type"] == "string_type":
        message = f"must be text; write it in quotes (YAML reads it as {fault['input']!r})"
    elif fault["type"] != "value_error":
        message = f"{message[0].lower()}{message[1:]} (it is {fault['input']!r})"
    return f"{place}: {message}" if place else message

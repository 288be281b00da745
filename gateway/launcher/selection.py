"""Which models of a store are served."""

import re
from collections.abc import Collection
from pathlib import Path

from gateway.upstream import ModelRef
from model_store.recipe import Recipe, RecipeError, load_recipe, model_folders


def select_models(store: Path, names: Collection[str]) -> dict[Path, Recipe]:
    """Reads the recipes of the models that are asked for, in all their versions.

    Args:
        store: the model store.
        names: of models; none: all that are there.

    Returns:
        For each model's folder its recipe.

    Raises:
        RecipeError: a recipe is wrong, a name is unknown, or a version of a model is there twice.
    """
    recipes: dict[Path, Recipe] = {}
    faults: list[str] = []
    for folder in model_folders(store):
        try:
            recipes[folder] = load_recipe(folder)
        except RecipeError as error:
            faults.append(str(error))
    if faults:
        raise RecipeError("\n".join(faults))
    known = {recipe.name for recipe in recipes.values()}
    unknown = sorted(set(names) - known)
    if unknown:
        raise RecipeError(f"{store}: there is no model {', '.join(unknown)}; there is {', '.join(sorted(known))}")
    seen: dict[tuple[str, str], Path] = {}
    for folder, recipe in recipes.items():
        twin = seen.setdefault((recipe.name, recipe.version), folder)
        if twin != folder:
            raise RecipeError(
                f"{twin} and {folder} both hold version {recipe.version} of {recipe.name}; change one's version"
            )
    return {folder: recipe for folder, recipe in recipes.items() if not names or recipe.name in names}


def select_served(store: Path, names: Collection[str]) -> dict[Path, Recipe]:
    """Reads the recipes of the models to serve: those that are asked for, or all whose weights are not random.

    Raises:
        RecipeError: as ``select_models``; or no name is given and there is nothing but random weights.
    """
    recipes = select_models(store, names)
    if names:
        return recipes
    served = {folder: recipe for folder, recipe in recipes.items() if not recipe.weights.random}
    if not served:
        there = ", ".join(sorted({recipe.name for recipe in recipes.values()})) or "none"
        raise RecipeError(f"{store}: models with random weights are served only if they are named; there is {there}")
    return served


def references(recipes: Collection[Recipe]) -> list[ModelRef]:
    """Names the models to the gateway; of the versions that may be the default the highest is, numbers as numbers."""
    first: dict[str, Recipe] = {}
    for recipe in recipes:
        first[recipe.name] = max(first.get(recipe.name, recipe), recipe, key=_precedence)
    return [ModelRef(recipe.name, recipe.version, recipe is first[recipe.name]) for recipe in recipes]


def _precedence(recipe: Recipe) -> tuple[bool, list[tuple[int, str]]]:
    parts = re.findall(r"\d+|[A-Za-z]+", recipe.version)
    return recipe.default, [(int(part), "") if part.isdigit() else (-1, part) for part in parts]

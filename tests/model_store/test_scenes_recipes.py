"""The recipes of the scenes models say what their code and weights have."""

from pathlib import Path

import pytest

from model_store.recipe import load_recipe, read_lines
from model_store.scenes.training.fit import SIDE
from model_store.scenes.vocabulary import ANSWERS, CAPTION_WORDS, QUESTION_WORDS, SHAPES

STORE = Path(__file__).resolve().parents[2] / "model_store"


@pytest.mark.parametrize(
    ("name", "task", "words", "labels"),
    [("scenes-captioner", "caption", CAPTION_WORDS, None), ("scenes-vqa", "answer", QUESTION_WORDS, ANSWERS)],
)
def test_words_and_answers_are_the_worlds(
    name: str, task: str, words: tuple[str, ...], labels: tuple[str, ...] | None
) -> None:
    recipe = load_recipe(STORE / name)
    assert (recipe.name, recipe.task) == (name, task)
    assert tuple(read_lines(STORE / name / str(recipe.vocabulary))) == words
    assert recipe.labels == labels
    assert recipe.preprocessing.size == (SIDE, SIDE)
    assert (recipe.preprocessing.mean, recipe.preprocessing.std) == ((0.5,) * 3, (0.25,) * 3)


@pytest.mark.parametrize("name", ["scenes-classifier", "scenes-captioner", "scenes-vqa"])
def test_units_of_the_explained_layer_have_names(name: str) -> None:
    """Of the weights that are there: the recipe refuses names that were found in others."""
    recipe = load_recipe(STORE / name)
    assert recipe.units is not None
    assert recipe.units.weights is not None
    named = {unit.name for layer in recipe.explanation.layers for unit in recipe.units.layers[layer].values()}
    assert set(SHAPES) <= named

from pathlib import Path

import pytest

from gateway.launcher.selection import references, select_models, select_served
from model_store.recipe import RecipeError
from tests.recipes import recipe_data, write_model


def add(store: Path, folder: str, **changes: object) -> Path:
    return write_model(store / folder, recipe_data() | changes)


def test_all_models_or_those_named(tmp_path: Path) -> None:
    a = add(tmp_path, "a", name="first")
    b = add(tmp_path, "b", name="second")
    assert list(select_models(tmp_path, ())) == [a, b]
    assert list(select_models(tmp_path, ("second",))) == [b]


def test_random_weights_are_served_only_by_name(tmp_path: Path) -> None:
    trained = add(tmp_path, "a", name="trained")
    random = add(tmp_path, "b", name="random", weights={"random": True})
    assert list(select_served(tmp_path, ())) == [trained]
    assert list(select_served(tmp_path, ("random",))) == [random]
    (trained / "recipe.yaml").unlink()
    with pytest.raises(RecipeError, match="only if they are named; there is random"):
        select_served(tmp_path, ())


def test_an_unknown_name_tells_the_known_ones(tmp_path: Path) -> None:
    add(tmp_path, "a", name="first")
    add(tmp_path, "b", name="second")
    with pytest.raises(RecipeError, match="there is no model third; there is first, second"):
        select_models(tmp_path, ("third", "first"))


def test_a_version_is_there_once(tmp_path: Path) -> None:
    add(tmp_path, "a")
    add(tmp_path, "b")
    with pytest.raises(RecipeError, match="both hold version 1 of shapes"):
        select_models(tmp_path, ())


def test_all_wrong_recipes_are_named(tmp_path: Path) -> None:
    add(tmp_path, "a", task="paint")
    add(tmp_path, "b", version=2)
    with pytest.raises(RecipeError) as caught:
        select_models(tmp_path, ())
    assert str(tmp_path / "a") in str(caught.value)
    assert str(tmp_path / "b") in str(caught.value)


@pytest.mark.parametrize(
    ("versions", "default"),
    [(("1", "2"), "2"), (("9", "10"), "10"), (("1.10", "1.9"), "1.10"), (("1.0", "1.0b"), "1.0b")],
)
def test_the_highest_version_is_the_default(tmp_path: Path, versions: tuple[str, ...], default: str) -> None:
    for version in versions:
        add(tmp_path, f"shapes-{version}", version=version)
    add(tmp_path, "other", name="other")
    models = references(select_models(tmp_path, ()).values())
    assert {(model.name, model.version) for model in models if model.default} == {("shapes", default), ("other", "1")}


@pytest.mark.parametrize(
    ("eligible", "default"), [({"1"}, "1"), ({"1", "2"}, "2"), ({"1", "2", "3"}, "3"), (set(), "3")]
)
def test_a_recipe_can_leave_the_default_to_others(tmp_path: Path, eligible: set[str], default: str) -> None:
    for version in ("3", "1", "2"):
        add(tmp_path, f"shapes-{version}", version=version, default=version in eligible)
    models = references(select_models(tmp_path, ()).values())
    assert [model.version for model in models if model.default] == [default]

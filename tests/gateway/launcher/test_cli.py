from pathlib import Path

import pytest

from gateway.cli import main
from tests.recipes import recipe_data, write_model


@pytest.fixture
def store(tmp_path: Path) -> Path:
    write_model(tmp_path / "first", recipe_data() | {"name": "first"})
    write_model(tmp_path / "second", recipe_data() | {"name": "second"})
    return tmp_path


def test_build_prints_each_archive(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", "--model-store", str(store)]) == 0
    archives = [store / "first-1.mar", store / "second-1.mar"]
    assert capsys.readouterr().out.splitlines() == [str(archive) for archive in archives]
    assert all(archive.is_file() for archive in archives)


def test_build_of_one_model(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAMSERVE_MODEL_STORE", str(store))
    assert main(["build", "second"]) == 0
    assert [file.name for file in store.glob("*.mar")] == ["second-1.mar"]


def test_check_tells_of_archives(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["build", "second", "--model-store", str(store)])
    capsys.readouterr()
    assert main(["check", "--model-store", str(store)]) == 0
    java, *models = capsys.readouterr().out.splitlines()
    assert java.startswith("java: /")
    assert models == [
        "first:1: recipe is right, archive is yet to be built",
        "second:1: recipe is right, archive is current",
    ]


def test_check_names_every_wrong_recipe(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_model(store / "third", recipe_data() | {"task": "paint"})
    write_model(store / "fourth", recipe_data() | {"version": 1})
    assert main(["check", "--model-store", str(store)]) == 1
    err = capsys.readouterr().err
    assert f"{store / 'third' / 'recipe.yaml'}: task: input should be" in err
    assert f"{store / 'fourth' / 'recipe.yaml'}: version: must be text" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["up", "--models", "third"], "there is no model third; there is first, second"),
        (["build", "third"], "there is no model third; there is first, second"),
        (["up", "--port", "70000"], "CAMSERVE_PORT must be 0 to 65535"),
    ],
)
def test_failures_are_one_clear_line(
    store: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main([*arguments, "--model-store", str(store)]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("camserve-server: ")
    assert message in captured.err
    assert len(captured.err.splitlines()) == 1


def test_a_store_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--model-store", str(tmp_path / "gone")]) == 1
    assert "no folder here holds a recipe.yaml" in capsys.readouterr().err


def test_wrong_usage_exits_with_2() -> None:
    with pytest.raises(SystemExit) as caught:
        main(["fly"])
    assert caught.value.code == 2

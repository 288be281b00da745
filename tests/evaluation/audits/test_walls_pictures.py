"""Pictures of two halves: scenes, and pictures of one's own."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from evaluation.audits.walls.pictures import stacked_photos, stacked_scenes


def test_scenes_are_the_same_each_time() -> None:
    first, second = stacked_scenes(3, 112, 83), stacked_scenes(3, 112, 83)
    assert first.images.shape == (3, 3, 112, 112)
    assert torch.equal(first.images, second.images)
    assert not (first.above == first.behind).any()


def test_the_halves_do_not_depend_on_each_other() -> None:
    few, more = stacked_scenes(2, 112, 83), stacked_scenes(4, 112, 83)
    assert torch.equal(few.images, more.images[:2])
    assert not torch.equal(more.images[0, :, 83:], more.images[1, :, 83:])


def _folder(path: Path, colours: dict[str, str]) -> Path:
    for name, colour in colours.items():
        (path / name).mkdir()
        for index in range(2):
            Image.new("RGB", (40 + 10 * index, 30), colour).save(path / name / f"{index}.png")
    return path


def test_photos_have_another_class_behind_the_wall(tmp_path: Path) -> None:
    found = stacked_photos(_folder(tmp_path, {"red": "#ff0000", "blue": "#0000ff"}), ["red", "blue"], 6, 32, 24)
    assert set(found.above.tolist()) == {0, 1}
    colours = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])[:, :, None, None]
    assert torch.equal(found.images[:, :, :24], colours[found.above].expand(-1, -1, 24, 32))
    assert torch.equal(found.images[:, :, 24:], colours[found.behind].expand(-1, -1, 8, 32))
    assert torch.equal(found.behind, 1 - found.above)


def test_wrong_folders_are_told(tmp_path: Path) -> None:
    folder = _folder(tmp_path, {"red": "#ff0000"})
    with pytest.raises(ValueError, match="'red' is no label of the model"):
        stacked_photos(folder, ["blue"], 1, 32, 24)
    with pytest.raises(ValueError, match="one class only"):
        stacked_photos(folder, ["red"], 1, 32, 24)
    with pytest.raises(FileNotFoundError):
        stacked_photos(folder / "red", ["red"], 1, 32, 24)

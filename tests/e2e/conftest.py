import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.launcher.server import Server, run_server

PICTURES = Path(__file__).resolve().parents[2] / "playground/camserve_playground/pictures"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All that lies here needs the running service."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="session")
def service() -> Iterator[Server]:
    """The whole service with the scenes classifier, started once; of a stream it has 8 items in hand."""
    with run_server("--models", "scenes-classifier", env={"CAMSERVE_STREAM_ITEMS": "8"}) as server:
        yield server
        assert server.stop() == 0
        assert server.left_behind() == []


@pytest.fixture(scope="session")
def scenes() -> Iterator[Server]:
    """The whole service with the scenes models of all three tasks, started once."""
    with run_server("--models", "scenes-captioner,scenes-vqa,scenes-classifier") as server:
        yield server


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A picture named photo.jpg, with a star and a circle in it."""
    path = tmp_path / "photo.jpg"
    shutil.copy(PICTURES / "star-and-circle.jpg", path)
    return path

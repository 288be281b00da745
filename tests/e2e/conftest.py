from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.launcher.server import Server, run_server


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

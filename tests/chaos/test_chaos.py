import tempfile

import pytest

from tests.chaos.scale import SHORT
from tests.chaos.suite import run


@pytest.mark.e2e
@pytest.mark.timeout(900)  # a busy machine takes minutes to start and to restart workers
def test_the_short_suite_keeps_every_promise_that_is_not_about_time() -> None:
    with tempfile.TemporaryFile("w+") as log:
        # The others take long and have tests of their own: test_process.py kills TorchServe, test_up.py rolls versions.
        report = run(["overload", "streams", "storms", "hostility", "poison", "stop"], SHORT, log)
        log.seek(0)
        assert report.broken(timed=False) == [], log.read()

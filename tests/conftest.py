"""What tests of several rooms share."""

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module")
def one_core() -> Iterator[None]:
    """Small tensors are faster so, most of all where tests start threads of their own."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)

"""Generated stubs of ``camserve.worker.v1``."""

"""Generated stubs of the public contract, ``camserve.v1``."""

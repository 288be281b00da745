"""What the whole service does when everything goes wrong: ``python -m tests.chaos``, ``make chaos``."""

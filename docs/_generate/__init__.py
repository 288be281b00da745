"""What of the documentation is made from the code: a module per page, each run as ``python -m docs._generate.NAME``."""

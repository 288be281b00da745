"""Loading the Python files of models' folders, which are no packages."""

import importlib.util
from pathlib import Path
from types import ModuleType


def load_module(file: Path) -> ModuleType:
    """Runs a file as a module that no import finds.

    Raises:
        ImportError: it is no Python file.
        Exception: whatever the file raises.
    """
    spec = importlib.util.spec_from_file_location(f"camserve_model_{file.stem}", file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

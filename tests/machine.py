"""What this machine has that some tests need."""

import os
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
"""A browser for tests of pages; None: there is none."""

_playground = Path(os.environ.get("PLAYGROUND_VENV", ROOT / ".venv-playground")) / "bin/camserve-playground"
PLAYGROUND = str(_playground) if _playground.is_file() else None
"""The playground's command, in its own environment; None: it is not installed."""

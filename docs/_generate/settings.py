"""``docs/settings.md``: the gateway's settings, from their class."""

import inspect
import re
from dataclasses import fields
from pathlib import Path

from gateway.settings import GatewaySettings, variable

PAGE = Path(__file__).resolve().parents[1] / "settings.md"

HEAD = """\
# Settings of the gateway

Made from `gateway/settings.py` by `make docs`; do not edit. Each is a variable of the environment. `camserve-server up`
takes host and ports as options too, and [a recipe](serving-your-model.md) has what is of one model alone.

| variable | default | bounds | meaning |
|---|---|---|---|
"""


def text() -> str:
    """The page."""
    meanings = _meanings()
    rows = []
    for setting in fields(GatewaySettings):
        low, high = setting.metadata.get("bounds", (None, None))
        bounds = "" if low is None else f"{low} to {high}"
        default = f"`{setting.default}`" if setting.default not in ("", None) else "none"
        rows.append(f"| `{variable(setting.name)}` | {default} | {bounds} | {meanings[setting.name]} |\n")
    return HEAD + "".join(rows)


def _meanings() -> dict[str, str]:
    """From the section of the docstring that describes the fields."""
    told = inspect.cleandoc(GatewaySettings.__doc__ or "").partition("Attributes:\n")[2]
    entries = re.findall(r"^    (\w+): (.*?)(?=^    \w|\Z)", told, re.MULTILINE | re.DOTALL)
    return {name: " ".join(meaning.split()).replace("``", "`").replace("|", "\\|") for name, meaning in entries}


if __name__ == "__main__":
    PAGE.write_text(text(), encoding="utf-8")

"""Commands and snippets of the documentation, taken out of its pages."""

import re
from dataclasses import dataclass
from pathlib import Path

from tests.machine import ROOT

PAGES = (
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "client/README.md",
    *sorted(page for page in (ROOT / "docs").rglob("*.md")),
)

_FENCE = re.compile(
    r"(?:^[ ]*<!-- not run: (?P<reason>[^\n]+?) -->\n)?"
    r"^(?P<indent>[ ]*)```(?P<language>\w+)[^\n]*\n(?P<code>.*?)^[ ]*```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Snippet:
    """A fenced block: its page, the line where its code begins, its language, its code, and why it is not run."""

    page: Path
    line: int
    language: str
    code: str
    not_run: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def snippets(page: Path) -> list[Snippet]:
    """The blocks of a page, in their order; those that only show a file of the repository are not among them."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in _FENCE.finditer(text):
        line = text.count("\n", 0, match.start("code")) + 1
        code = re.sub(rf"^{match['indent']}", "", match["code"], flags=re.MULTILINE)
        if "--8<--" not in code:
            found.append(Snippet(page, line, match["language"], code, match["reason"] or ""))
    return found

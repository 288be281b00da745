"""A report: sections, and what is to be known of the run that they come from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version

from evaluation.report.section import Section, check_unique


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


@dataclass(frozen=True, eq=False)
class Report:
    """All that stands on the page.

    Attributes:
        sections: in the order of their chapters.
        title: of the page.
        settings: of the whole run, for the foot of the page, such as its command and the machine.
        made: when; with a time zone.
        version: of camserve.

    Raises:
        ValueError: there is no section, or two have the same name.
    """

    sections: Sequence[Section]
    title: str = "How far can the maps be trusted?"
    settings: Mapping[str, str] = field(default_factory=dict)
    made: datetime = field(default_factory=_now)
    version: str = field(default_factory=lambda: version("camserve-server"))

    def __post_init__(self) -> None:
        if not self.sections:
            raise ValueError("report: there are no sections; give it at least one")
        check_unique("report: sections", [section.name for section in self.sections])

"""What a part of the benchmark found, and how it is told: Markdown on the terminal, JSON and a plot in a folder."""

import json
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path

import torch

from benchmarks.timing import Spread

Value = str | int | float | Spread | None


@dataclass(frozen=True)
class Table:
    """Figures in rows.

    Attributes:
        title: what they are.
        columns: names, with units.
        rows: of as many values.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Value]]

    def __str__(self) -> str:
        lines = [self.columns, ["---"] * len(self.columns), *([_shown(value) for value in row] for row in self.rows)]
        return "\n".join([f"**{self.title}**", "", *(f"| {' | '.join(line)} |" for line in lines)])


@dataclass(frozen=True)
class Aim:
    """A figure beside what was aimed at.

    Attributes:
        text: what it is.
        value: what was measured.
        bound: what was aimed at.
        most: whether that is the most it may be; else it is the least.
    """

    text: str
    value: float
    bound: float
    most: bool = True

    @property
    def met(self) -> bool:
        """Whether the aim was met."""
        return self.value <= self.bound if self.most else self.value >= self.bound


@dataclass(frozen=True)
class Curve:
    """A line of a plot.

    Attributes:
        label: in the legend.
        points: x and y.
    """

    label: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Plot:
    """A picture of figures: bars if each curve has one point, else lines over x, which doubles.

    Attributes:
        title: what it shows.
        x: what goes to the right.
        y: what goes up.
        curves: what is drawn.
    """

    title: str
    x: str
    y: str
    curves: Sequence[Curve]


@dataclass(frozen=True)
class Part:
    """What was found.

    Attributes:
        name: of the part.
        tables: figures.
        aims: beside what was aimed at.
        plots: pictures of them.
    """

    name: str
    tables: Sequence[Table]
    aims: Sequence[Aim] = ()
    plots: Sequence[Plot] = field(default=(), repr=False)

    def __str__(self) -> str:
        told = [str(table) for table in self.tables]
        if self.aims:
            rows = [
                (aim.text, aim.value, f"{'≤' if aim.most else '≥'} {aim.bound:g}", "yes" if aim.met else "no")
                for aim in self.aims
            ]
            told.append(str(Table("aims", ("what", "measured", "aim", "met"), rows)))
        return "\n\n".join([f"## {self.name}", machine(), *told])

    def write(self, folder: Path) -> None:
        """Writes ``NAME.json`` and ``NAME.md``; the plots are for :mod:`benchmarks.drawing`."""
        folder.mkdir(parents=True, exist_ok=True)
        facts = {"machine": machine(), **asdict(self), "aims": [{**asdict(aim), "met": aim.met} for aim in self.aims]}
        (folder / f"{self.name}.json").write_text(json.dumps(facts, indent=2), encoding="utf-8")
        (folder / f"{self.name}.md").write_text(f"{self}\n", encoding="utf-8")


def machine() -> str:
    """What the figures were measured on, in a line."""
    names = ("torch", "torchvision", "grad-cam", "torchcam", "captum")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    capability = torch.backends.cpu.get_cpu_capability()
    return f"{platform.machine()} {capability}, {torch.get_num_threads()} threads; {versions}"


def _shown(value: Value) -> str:
    if value is None:
        return "-"
    if isinstance(value, Spread):
        return f"{_figure(value.median)} ({_figure(value.low)} to {_figure(value.high)})"
    return value if isinstance(value, str) else _figure(value)


def _figure(value: float) -> str:
    """About three digits that count; all the nines of what is nearly 1."""
    if 0.99 < abs(value) < 1:
        return f"{value:.5f}"
    if isinstance(value, int) or abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 20 else f"{value:.2f}"

"""``python -m tests.chaos [--short] [--soak N] [--log FILE] [ACT ...]``: runs the acts and prints their figures."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from tests.chaos.scale import SHORT, WHOLE
from tests.chaos.suite import ACTS, run

parser = argparse.ArgumentParser("python -m tests.chaos", description="Does its worst to a server of its own.")
parser.add_argument("acts", nargs="*", metavar="ACT", help=f"of {', '.join(ACTS)} (default: all)")
parser.add_argument("--short", action="store_true", help="less of everything")
parser.add_argument("--soak", type=int, metavar="N", help="requests of the soak, hours' worth if need be")
parser.add_argument("--log", type=Path, default=Path("out/chaos.log"), help="of the server (default: %(default)s)")
options = parser.parse_args()
unknown = set(options.acts) - set(ACTS)
if unknown:
    parser.error(f"there is no act {', '.join(sorted(unknown))}; there is {', '.join(ACTS)}")
scale = SHORT if options.short else WHOLE
if options.soak:
    scale = replace(scale, soak=options.soak)
options.log.parent.mkdir(parents=True, exist_ok=True)
with options.log.open("w") as log:
    broken = run(options.acts or list(ACTS), scale, log).broken(timed=True)
print(f"\n{len(broken)} promises broken; the server's log is {options.log}")
sys.exit(bool(broken))

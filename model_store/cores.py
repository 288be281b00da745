"""How many processors there are to share out."""

import contextlib
import math
import os
from pathlib import Path


def cores() -> int:
    """Processors that this process may use at once, by its affinity and its control group's quota."""
    allowed = len(os.sched_getaffinity(0))
    with contextlib.suppress(OSError, ValueError):  # no such limit, or none that is a number
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        allowed = min(allowed, math.ceil(int(quota) / int(period)))
    return allowed


def share(workers: int) -> int:
    """Threads for each of so many workers."""
    return max(1, cores() // workers)

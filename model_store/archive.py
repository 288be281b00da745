"""Archives: a model's folder packed for TorchServe, as its loader expects it."""

import hashlib
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from importlib.metadata import version
from pathlib import Path

import yaml

from model_store.recipe import Recipe, load_recipe

log = logging.getLogger(__name__)

TRUNK_FILE = "trunk.pt2"
"""Name of an optimised model's compiled trunk inside its archive."""

_COMPILER = "handlers.optimise"  # run as a process of its own: who builds archives need not have torch in it
_CONFIG_FILE = "model-config.yaml"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip can hold; archives of equal content are equal bytes


def archive_name(recipe: Recipe) -> str:
    """File name of the model's archive."""
    return f"{recipe.name}-{recipe.version}.mar"


def build_archive(folder: Path, out_dir: Path) -> Path:
    """Packs a model's recipe and the files it names, unless the archive that is there holds just that.

    The trunk of an optimised model is compiled, which takes about a minute. If that fails the archive goes without it,
    and is built anew the next time.

    Args:
        folder: the model's folder.
        out_dir: where the archive goes; made if it is not there.

    Returns:
        The archive, ``<name>-<version>.mar``.

    Raises:
        RecipeError: if the recipe is wrong.
        OSError: if the archive cannot be written.
    """
    recipe = load_recipe(folder)
    entries = _entries(folder, recipe)
    digest = _digest(entries, recipe)
    archive = out_dir / archive_name(recipe)
    if _comment(archive) == digest:
        return archive
    out_dir.mkdir(parents=True, exist_ok=True)
    part = archive.with_name(f".{archive.name}.{os.getpid()}")
    with tempfile.TemporaryDirectory(prefix="camserve-trunk-") as scratch:
        if recipe.optimize:
            entries |= _compiled(folder, Path(scratch))
            if TRUNK_FILE not in entries:
                digest += b" without trunk"
        try:
            with zipfile.ZipFile(part, "w") as package:
                package.comment = digest
                for name, content in sorted(entries.items()):
                    _write(package, name, content)
            part.replace(archive)
        finally:
            part.unlink(missing_ok=True)
    return archive


def is_current(folder: Path, out_dir: Path) -> bool:
    """Whether the model's archive is there and holds what its folder holds now.

    Raises:
        RecipeError: if the recipe is wrong.
    """
    recipe = load_recipe(folder)
    return _comment(out_dir / archive_name(recipe)) == _digest(_entries(folder, recipe), recipe)


def _entries(folder: Path, recipe: Recipe) -> dict[str, Path | bytes]:
    manifest = {
        "createdOn": "01/01/1980 00:00:00",
        "archiverVersion": "0.12.0",
        "runtime": "python",
        "model": {
            "modelName": recipe.name,
            "modelVersion": recipe.version,
            "handler": f"handlers.{recipe.task}",  # an installed module, imported by its dotted name
            "configFile": _CONFIG_FILE,
        },
    }
    worker = recipe.worker
    config = {
        # Without both of these TorchServe starts a worker for each core.
        "minWorkers": worker.count,
        "maxWorkers": worker.count,
        "batchSize": 1,  # the gateway packs
        "maxBatchDelay": 1,  # in ms; 0 would mean the default of 100
        "responseTimeout": worker.response_timeout_s,
        "startupTimeout": worker.startup_timeout_s,
        "maxRetryTimeoutInSec": 86_400,  # once it is over, a dead worker stays dead and requests queue for ever
        "jobQueueSize": 2 * worker.count + 8,  # the gateway holds the real queue
    }
    return {
        **{name: folder / name for name in recipe.files},
        "MAR-INF/MANIFEST.json": json.dumps(manifest, indent=2).encode(),
        _CONFIG_FILE: yaml.safe_dump(config, sort_keys=False).encode(),
    }


def _compiled(folder: Path, scratch: Path) -> dict[str, Path | bytes]:
    """The compiled trunk; nothing if it cannot be had."""
    file = scratch / TRUNK_FILE
    log.info("compiling %s, which takes about a minute", folder.name)
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", _COMPILER, folder, file], capture_output=True, text=True, check=False
    )
    if done.returncode == 0 and file.is_file():
        return {TRUNK_FILE: file}
    reason = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
    log.warning("%s cannot be compiled and will run as it is: %s", folder.name, reason)
    return {}


def _digest(entries: dict[str, Path | bytes], recipe: Recipe) -> bytes:
    total = hashlib.sha256()
    if recipe.optimize:  # what is compiled hangs on the compiler and the processor too
        total.update(f"torch {version('torch')} {_processor()}\n".encode())
    for name, content in sorted(entries.items()):
        if isinstance(content, bytes):
            inner = hashlib.sha256(content)
        else:
            with content.open("rb") as stream:
                inner = hashlib.file_digest(stream, "sha256")
        total.update(f"{name}\0{inner.hexdigest()}\n".encode())
    return total.hexdigest().encode()


def _processor() -> str:
    """What kind of processor this is; empty where the system does not say."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line for line in lines if line.startswith(("flags", "Features"))), "")


def _comment(archive: Path) -> bytes | None:
    try:
        with zipfile.ZipFile(archive) as package:
            return package.comment
    except (OSError, zipfile.BadZipFile):
        return None


def _write(package: zipfile.ZipFile, name: str, content: Path | bytes) -> None:
    # Stored, not deflated: weights do not shrink, and the bytes do not hang on the version of zlib.
    info = zipfile.ZipInfo(name, _EPOCH)
    info.external_attr = 0o644 << 16
    if isinstance(content, bytes):
        package.writestr(info, content)
        return
    info.file_size = content.stat().st_size
    with content.open("rb") as source, package.open(info, "w") as target:
        shutil.copyfileobj(source, target)

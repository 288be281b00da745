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
from importlib.util import find_spec
from pathlib import Path

import yaml

from model_store.cores import share
from model_store.recipe import Recipe, load_recipe

log = logging.getLogger(__name__)

TRUNK_FILE = "trunk.pt2"
"""Name of an optimised model's compiled trunk inside its archive."""

_COMPILER = "handlers.optimise"  # run as a process of its own: who builds archives need not have torch in it
_CONFIG_FILE = "model-config.yaml"
_BLOCK = 2**20
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip can hold; archives of equal content are equal bytes


def archive_name(recipe: Recipe) -> str:
    """File name of the model's archive."""
    return f"{recipe.name}-{recipe.version}.mar"


def trunk_threads(recipe: Recipe) -> int:
    """How many threads a compiled trunk is for: those of the recipe's workers, else the cores shared out among them."""
    return recipe.worker.threads or share(recipe.worker.count)


def build_archive(folder: Path, out_dir: Path) -> Path:
    """Packs a model's recipe and the files it names, unless the archive that is there holds just that.

    What somebody else put there is never loaded: every byte of it is compared. The trunk of an optimised model is
    compiled, which takes about a minute; one that is there is taken for ours if the archive's comment says what it was
    made of. If it cannot be compiled the archive goes without it, and is built anew the next time.

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
    archive = out_dir / archive_name(recipe)
    if _holds(archive, entries, recipe):
        return archive
    out_dir.mkdir(parents=True, exist_ok=True)
    part = archive.with_name(f".{archive.name}.{os.getpid()}")
    with tempfile.TemporaryDirectory(prefix="camserve-trunk-") as scratch:
        if recipe.optimize:
            entries |= _compiled(folder, Path(scratch))
        try:
            with zipfile.ZipFile(part, "w") as package:
                if TRUNK_FILE in entries:
                    package.comment = _origin(_digests(entries), recipe)
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
    return _holds(out_dir / archive_name(recipe), _entries(folder, recipe), recipe)


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


def _holds(archive: Path, entries: dict[str, Path | bytes], recipe: Recipe) -> bool:
    """Whether an archive holds just these entries, as they are made here, and for an optimised model its trunk too."""
    try:
        with zipfile.ZipFile(archive) as package:
            held, comment = _digests_of(package), package.comment
    except (OSError, zipfile.BadZipFile, RuntimeError):  # the last if it is encrypted
        return False
    made = _digests(entries)
    if not recipe.optimize:
        return held == made and not comment
    return TRUNK_FILE in held and held == made | {TRUNK_FILE: held[TRUNK_FILE]} and comment == _origin(held, recipe)


def _digests(entries: dict[str, Path | bytes]) -> dict[str, str]:
    """The SHA-256 of each entry."""
    return {name: _digest(content) for name, content in entries.items()}


def _digest(content: Path | bytes) -> str:
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    with content.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _digests_of(package: zipfile.ZipFile) -> dict[str, str]:
    """The same of an archive; empty if it is not as they are made here."""
    entries = package.infolist()
    names = {entry.filename for entry in entries}
    stored = all(entry.compress_type == zipfile.ZIP_STORED for entry in entries)
    if len(names) < len(entries) or not stored or any(entry.file_size != entry.compress_size for entry in entries):
        return {}
    digests = {}
    for entry in entries:
        inner = hashlib.sha256()
        with package.open(entry) as stream:
            while block := stream.read(_BLOCK):
                inner.update(block)
        digests[entry.filename] = inner.hexdigest()
    return digests


def _origin(digests: dict[str, str], recipe: Recipe) -> bytes:
    """What a compiled trunk is of: its compiler, the processor, its threads, the entries beside it, and itself."""
    compiler = find_spec(_COMPILER)
    source = _digest(Path(compiler.origin)) if compiler and compiler.origin else ""
    total = hashlib.sha256(f"torch {version('torch')} {source} {_processor()} {trunk_threads(recipe)}\n".encode())
    for name, digest in sorted(digests.items()):
        total.update(f"{name}\0{digest}\n".encode())
    return total.hexdigest().encode()


def _processor() -> str:
    """What kind of processor this is; empty where the system does not say."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line for line in lines if line.startswith(("flags", "Features"))), "")


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

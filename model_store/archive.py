"""Archives: a model's folder packed for TorchServe, as its loader expects it."""

import hashlib
import json
import os
import shutil
import zipfile
from pathlib import Path

import yaml

from model_store.recipe import Recipe, load_recipe

_CONFIG_FILE = "model-config.yaml"
_BLOCK = 2**20
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip can hold; archives of equal content are equal bytes


def archive_name(recipe: Recipe) -> str:
    """File name of the model's archive."""
    return f"{recipe.name}-{recipe.version}.mar"


def build_archive(folder: Path, out_dir: Path) -> Path:
    """Packs a model's recipe and the files it names, unless the archive that is there holds just that.

    What somebody else put there is never loaded: every byte of it is compared.

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
    digest = _digest(entries)
    archive = out_dir / archive_name(recipe)
    if _digest_of(archive) == digest:
        return archive
    out_dir.mkdir(parents=True, exist_ok=True)
    part = archive.with_name(f".{archive.name}.{os.getpid()}")
    try:
        with zipfile.ZipFile(part, "w") as package:
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
    return _digest_of(out_dir / archive_name(recipe)) == _digest(_entries(folder, recipe))


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


def _digest(entries: dict[str, Path | bytes]) -> bytes:
    total = hashlib.sha256()
    for name, content in sorted(entries.items()):
        if isinstance(content, bytes):
            inner = hashlib.sha256(content)
        else:
            with content.open("rb") as stream:
                inner = hashlib.file_digest(stream, "sha256")
        total.update(f"{name}\0{inner.hexdigest()}\n".encode())
    return total.hexdigest().encode()


def _digest_of(archive: Path) -> bytes | None:
    """The digest of what an archive holds; None if it is none, or not as they are made here."""
    total = hashlib.sha256()
    try:
        with zipfile.ZipFile(archive) as package:
            entries = sorted(package.infolist(), key=lambda entry: entry.filename)
            if len({entry.filename for entry in entries}) < len(entries):
                return None
            for entry in entries:
                if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
                    return None
                inner = hashlib.sha256()
                with package.open(entry) as stream:
                    while block := stream.read(_BLOCK):
                        inner.update(block)
                total.update(f"{entry.filename}\0{inner.hexdigest()}\n".encode())
    except (OSError, zipfile.BadZipFile, RuntimeError):  # the last if it is encrypted
        return None
    return total.hexdigest().encode()


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

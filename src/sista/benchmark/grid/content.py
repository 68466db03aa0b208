"""What the files hold that a job's arguments name: where that changes, so does the job, though the arguments are the same."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from sista.models.text_encoder import SIZES

OF_TASKS = ("prompts", "regions")
KINDS = (".json", ".txt", ".model", ".safetensors", ".bin")  # of the files by which tokenizers, encoders and runs are saved


def of_build(arguments: Mapping[str, Any]) -> Any:
    """Of the tokenizer, where it lies in files and not on a hub; else None."""
    return _of(arguments.get("tokenizer"))


def of_run(arguments: Mapping[str, Any]) -> Any:
    """Of the module of a user's own method, `module:Class`, and of encoders that lie in files. None where nothing does."""
    model = arguments.get("model", {})
    image, text = (str(model.get(key, "")) for key in ("image_encoder", "text_encoder"))
    named = {
        "image_encoder": image.removeprefix("local-dir:") if image.startswith("local-dir:") else None,
        "text_encoder": None if text in SIZES else text,
        "start": model.get("start"),
    }
    held = {key: content for key, name in named.items() if (content := _of(name)) is not None}
    source = _own_source(arguments["method"])
    return {"method": source, **held} if held else source


def of_task(arguments: Mapping[str, Any]) -> Any:
    """Of its files of prompts or regions; None without."""
    return {key: _of(arguments[key]) for key in OF_TASKS if isinstance(arguments.get(key), str)} or None


def _of(name: Any) -> Any:
    """The hash of a file, or those of a folder's files and of its `model`'s, by name; None for what is neither."""
    if not name or not isinstance(name, str | Path):
        return None
    path = Path(name)
    if path.is_dir():
        files = sorted(file for place in (path, path / "model") for file in place.glob("*") if file.suffix in KINDS and file.is_file())
        return {file.relative_to(path).as_posix(): _digest_of(file) for file in files} or None
    return _digest_of(path) if path.is_file() else None


def _own_source(method: str) -> str | None:
    """The hash of the module of `module:Class`. None for one of sista's."""
    module, colon, _ = method.partition(":")
    try:
        found = importlib.util.find_spec(module) if colon else None
    except (ImportError, ValueError):
        return None  # said with a reason before anything runs
    return _of(found.origin) if found and found.origin else None


def _digest_of(file: Path) -> str:
    """SHA-256; weights of many runs are read once."""
    held = file.stat()
    return _digest(file.resolve(), held.st_mtime_ns, held.st_size, held.st_ino)


@cache
def _digest(file: Path, *_: int) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()

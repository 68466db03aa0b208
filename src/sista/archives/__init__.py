"""Archives: data sets as released, each read into `Study` rows. `open_archive(name, ...)` opens one by name."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from sista.corpus.study import Archive
from sista.errors import SistaError, nearest

# name: (module, class, what it is in one line)
ARCHIVES = {
    "phantom": ("sista.archives.phantom", "Phantom", "procedural chest films and reports; every finding, mask and phrase is known"),
    "table": ("sista.archives.table", "Table", "your own CSV, TSV, Parquet or JSONL: one row per film, with its report"),
}


def archive_class(name: str) -> type:
    """The class of an archive; its constructor's arguments are the options of `sista build NAME`."""
    if name not in ARCHIVES:
        raise SistaError(f"archive {name!r}: {nearest(name, ARCHIVES)}")
    module, kind, _ = ARCHIVES[name]
    return getattr(import_module(module), kind)


def open_archive(name: str, **options: Any) -> Archive:
    """An archive by name: `open_archive("table", table="pairs.csv")`."""
    return archive_class(name)(**options)

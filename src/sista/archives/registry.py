"""The archives by name."""

from __future__ import annotations

import importlib
from typing import Any

from sista.errors import SistaError, nearest

# name: (module, class, what it is in one line)
ARCHIVES = {
    "phantom": ("sista.archives.phantom", "Phantom", "procedural chest studies with known findings; no data needed"),
    "table": ("sista.archives.table", "Table", "your own films and reports: a CSV, Parquet or JSON-lines table"),
}


def archives() -> dict[str, str]:
    """List the archives that `sista build` reads."""
    return {name: line for name, (_, _, line) in ARCHIVES.items()}


def archive_class(name: str) -> Any:
    """The class that reads the archive `name`; `SistaError` with the nearest names for an unknown one."""
    if name not in ARCHIVES:
        raise SistaError(f"unknown archive {name!r}: {nearest(name, ARCHIVES)}")
    module, kind, _ = ARCHIVES[name]
    return getattr(importlib.import_module(module), kind)

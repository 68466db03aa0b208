"""Archives: data sets as released, each read into `Study` rows."""

from __future__ import annotations

from typing import Any

from sista.archives.registry import ARCHIVES, archive_class
from sista.corpus.study import Archive

__all__ = ["ARCHIVES", "archive_class", "open_archive"]


def open_archive(name: str, **options: Any) -> Archive:
    """An archive by name: `open_archive("table", table="pairs.csv")`."""
    return archive_class(name)(**options)

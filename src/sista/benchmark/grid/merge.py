"""Settings over settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` wins, mapping by mapping."""
    result = dict(under)
    for key, value in over.items():
        result[key] = merged(result[key], value) if isinstance(value, Mapping) and isinstance(result.get(key), Mapping) else value
    return result

"""Methods by name: each one short file that puts a dual encoder and a few objectives together."""

from __future__ import annotations

import importlib
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

from sista.errors import SistaError, nearest

if TYPE_CHECKING:
    from sista.methods.method import Cutoff, Method
    from sista.models.dual_encoder import DualEncoder

# name: (module, class, what it is in one line)
METHODS = {
    "sista": ("sista.methods.sista", "Sista", "semantic-aware instance alignment and film-dependent sparse token alignment"),
    "sista-paper": ("sista.methods.sista", "SistaPaper", "the same with the token term inside one report, as SPARC writes it"),
    "identity": ("sista.methods.identity", "Identity", "InfoNCE: every pair but its own is a negative (ConVIRT, CLIP)"),
}


def settings_of(name: str, given: dict[str, Any]) -> Any:
    """The settings of the method `name`; raises `SistaError` with the nearest names for an unknown method or setting."""
    from sista.methods.method import make_settings

    return make_settings(_class(name).Settings, given, name)


def make_method(name: str, encoder: DualEncoder, cutoff: Cutoff, settings: Any) -> Method:
    """The method `name` around `encoder`, with the settings of `settings_of`.

    cutoff: turns a share of random corpus pairs into the report similarity that this share reaches.
    """
    return _class(name)(encoder, settings, cutoff)


def methods(name: str | None = None) -> dict[str, Any]:
    """List the methods, or the settings of one with their defaults.

    Args:
        name: a method.
    """
    if name is None:
        return {method: line for method, (_, _, line) in METHODS.items()}
    kind = _class(name)
    return {
        "method": name,
        "about": METHODS[name][2],
        "settings": {f.name: f.default for f in fields(kind.Settings)},
        "help": _help(kind.Settings),
    }


def _help(settings: type) -> str:
    """The docstrings of a settings class and of those that it extends, which say what its settings are."""
    return "\n\n".join(kind.__doc__ or "" for kind in settings.__mro__ if is_dataclass(kind))


def _class(name: str) -> Any:
    if name not in METHODS:
        raise SistaError(f"unknown method {name!r}: {nearest(name, METHODS)}")
    module, kind, _ = METHODS[name]
    return getattr(importlib.import_module(module), kind)

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
    "sista-paper": (
        "sista.methods.sista",
        "SistaPaper",
        "the plain form: triage, and the words of a report against each other",
    ),
    "clip": ("sista.methods.clip", "Clip", "InfoNCE with a learned temperature: every pair but its own is a negative"),
    "convirt": ("sista.methods.convirt", "Convirt", "InfoNCE at a fixed temperature, more of it from film to report (ConVIRT)"),
    "siglip": ("sista.methods.siglip", "Siglip", "every film with every report a yes or no of its own (SigLIP)"),
    "medclip": ("sista.methods.medclip", "Medclip", "InfoNCE with targets from the likeness of findings' labels (MedCLIP)"),
    "imitate": ("sista.methods.imitate", "Imitate", "InfoNCE with a little of every alike report in the targets (IMITATE-style)"),
    "sat": ("sista.methods.sat", "Sat", "reports triaged into positives, negatives and those left alone (SAT)"),
    "ifnd": ("sista.methods.ifnd", "Ifnd", "InfoNCE without the negatives that clusters find to be false, more with time (IFND)"),
    "gloria": ("sista.methods.gloria", "Gloria", "InfoNCE, and every word with its view of every film of the batch (GLoRIA)"),
    "mgca": ("sista.methods.mgca", "Mgca", "InfoNCE, words and patches within a report, and Sinkhorn prototypes (MGCA)"),
    "sparc": ("sista.methods.sparc", "Sparc", "InfoNCE, and each word's sparse view of the film against its report's words (SPARC)"),
    "fane": ("sista.methods.fane", "Fane", "sigmoid with several positives, gated sentence pooling, hard negatives (FaNe)"),
}


def settings_of(name: str, given: dict[str, Any]) -> Any:
    """The settings of the method `name`, one of `METHODS` or `module:Class`.

    `SistaError` with the nearest names for an unknown method or setting, and for a value of the wrong type or sign.
    """
    from sista.methods.method import check_signs, make_settings

    kind = _class(name)
    settings = make_settings(kind.Settings, given, name)
    check_signs(settings, kind, name)
    return settings


def require_teacher(name: str, teacher: str) -> None:
    """`SistaError` when the method `name` can do nothing with the report similarity of `teacher`, as MedCLIP without labels."""
    usable = _class(name).teachers
    if usable and teacher not in usable:
        raise SistaError(f"method {name!r} can do nothing with teacher {teacher!r}; give one of {', '.join(usable)}")


def make_method(name: str, encoder: DualEncoder, cutoff: Cutoff, settings: Any) -> Method:
    """The method `name` around `encoder`, with the settings of `settings_of`.

    cutoff: turns a share of random corpus pairs into the report similarity that this share reaches.
    """
    return _class(name)(encoder, settings, cutoff)


def methods(name: str | None = None) -> dict[str, Any]:
    """List the methods, or the settings of one with their defaults.

    Args:
        name: a method, or `module:Class` for one of your own.
    """
    if name is None:
        return {method: line for method, (_, _, line) in METHODS.items()}
    kind = _class(name)
    return {
        "method": name,
        "about": METHODS[name][2] if name in METHODS else (kind.__doc__ or "").partition("\n")[0],
        "settings": {f.name: f.default for f in fields(kind.Settings)},
        "help": _help(kind.Settings),
    }


def _help(settings: type) -> str:
    """The docstrings of a settings class and of those that it extends, which say what its settings are."""
    return "\n\n".join(kind.__doc__ or "" for kind in settings.__mro__ if is_dataclass(kind))


def _class(name: str) -> Any:
    if ":" in name:
        return _own_class(name)
    if name not in METHODS:
        raise SistaError(f"unknown method {name!r}: {nearest(name, METHODS)}")
    module, kind, _ = METHODS[name]
    return getattr(importlib.import_module(module), kind)


def _own_class(name: str) -> Any:
    """A user's own method, `module:Class`."""
    from sista.methods.method import Method

    module, _, kind = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), kind)
    except (ImportError, ValueError, TypeError, AttributeError) as error:
        raise SistaError(f"method {name!r}: {error}; give module:Class, the module where Python finds it (PYTHONPATH)") from error
    if not (isinstance(found, type) and issubclass(found, Method) and is_dataclass(found.Settings)):
        raise SistaError(f"method {name!r} must be a subclass of sista.methods.method.Method whose Settings are a dataclass")
    return found

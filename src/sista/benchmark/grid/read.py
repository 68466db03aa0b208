"""A grid as its YAML file states it: read, and refused where its parts are not of the kind that they must be."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml

from sista.benchmark.grid.check import check, check_seeds
from sista.benchmark.grid.settings import Grid
from sista.errors import SistaError, nearest

REQUIRED = ("name", "corpora", "pretrain", "encoders", "methods", "tasks", "seeds")


def read_grid(path: Path, baseline: str = "") -> Grid:
    """The grid of a YAML file, with its baseline or another; raises SistaError for what is not known, missing, or cannot be meant."""
    try:
        given = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SistaError(f"grid {path} cannot be read ({str(error).splitlines()[0]})") from error
    if not isinstance(given, dict):
        raise SistaError(f"grid {path} is not a mapping; expected {', '.join(f.name for f in fields(Grid))}")
    try:
        _require_shape(given)
        texts = {key: given[key] or "" for key in ("about", "baseline") if key in given}  # left empty is left out
        grid = Grid(**{**given, **texts, "seeds": tuple(given["seeds"])})
        check(grid)
        if baseline:
            check(grid := grid.against(baseline))
    except SistaError as error:
        raise SistaError(f"grid {path}: {error}") from error
    return grid


class _Loader(yaml.SafeLoader):
    """YAML in which 1e-3 is a number, as YAML 1.2 and the command line have it, and no mapping has a key twice: the first of two methods of
    one name would vanish without a word."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        own = [(key.tag, key.value) for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != "<<"]
        if twice := [name for place, (tag, name) in enumerate(own) if (tag, name) in own[:place]]:
            where = f"in the mapping that begins in line {node.start_mark.line + 1}"
            raise yaml.constructor.ConstructorError(None, None, f"{twice[0]!r} stands twice {where}")
        return node


# a copy of the resolvers: those of SafeLoader are everyone's
_Loader.yaml_implicit_resolvers = {first: list(held) for first, held in yaml.SafeLoader.yaml_implicit_resolvers.items()}
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789"))


def _require_shape(given: Mapping[Any, Any]) -> None:
    known = {f.name for f in fields(Grid)}
    for key in given:
        if key not in known:
            raise SistaError(f"unknown key {key!r}: {nearest(str(key), known)}")
    if missing := [key for key in REQUIRED if given.get(key) in (None, "", [], {})]:
        raise SistaError(f"there is no {', '.join(missing)}")
    for key in ("name", "about", "baseline"):
        if not isinstance(text := given.get(key) or "", str):
            raise SistaError(f"{key} must be text, not {text!r}; put it in quotes")
    check_seeds(given["seeds"], "seeds")
    if not isinstance(given["pretrain"], dict):
        raise SistaError(f"pretrain must be a mapping from arguments of `sista pretrain`, not {given['pretrain']!r}")
    for group in ("corpora", "encoders", "methods", "tasks"):
        if not isinstance(given[group], dict):
            raise SistaError(f"{group} must be a mapping from names, not {given[group]!r}")
        for name, spec in given[group].items():
            if not isinstance(name, str):
                raise SistaError(f"{name!r} of {group} must be text, for it is a name; put it in quotes")
            if not name.strip():
                raise SistaError(f"{name!r} of {group} is no name")
            if spec is None and group in ("corpora", "tasks"):
                raise SistaError(f"{name!r} of {group} is empty; it must be a mapping")
            if spec is not None and not isinstance(spec, dict):
                raise SistaError(f"{name!r} of {group} must be a mapping, not {spec!r}")

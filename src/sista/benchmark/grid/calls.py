"""A sista command and its arguments, as YAML has them, made into a call: what is wrong with them is found before anything runs."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from sista.benchmark.grid.settings import TASKS
from sista.errors import SistaError


def function_of(verb: str) -> Callable[..., Any]:
    """The function behind a task's command, or behind `sista pretrain`."""
    module, name = (TASKS[verb][0] if verb in TASKS else "sista.training.pretrain:pretrain").split(":")
    return getattr(importlib.import_module(module), name)


def require_values(verb: str, call: partial[Any]) -> None:
    """SistaError for values that a command would refuse when its turn comes, hours later, and that can be seen without its data."""
    from sista.inference.grounding import require_levels
    from sista.methods import settings_of
    from sista.models.image_encoder import require_known
    from sista.training.check import check_optimizer, check_ranges
    from sista.transfer.shares import share_plan

    given = call.keywords
    if verb == "pretrain":
        require_known(given["model"].image_encoder)
        check_optimizer(given["optimizer"])
        chosen = settings_of(given["method"], given["settings"] or {})
        check_ranges(given["model"], given["optimizer"], given["augment"], given["run"], chosen)
    if "shares" in given:
        share_plan(given["shares"], given["draws"], 0)
    if verb == "ground":
        require_levels(given["levels"])


def prepare(verb: str, arguments: Mapping[str, Any]) -> partial[Any]:
    """The call of a command; of `build` its first argument is the archive, opened. SistaError for arguments that it does not take."""
    from jsonargparse import ArgumentError, ArgumentParser

    parser, kind = ArgumentParser(exit_on_error=False), None
    if verb == "build":
        from sista.archives.build import build as function
        from sista.archives.registry import archive_class

        kind = archive_class(arguments["archive"])
        parser.add_class_arguments(kind)
    else:
        function = function_of(verb)
    own = set(inspect.signature(kind).parameters) if kind else set()
    parser.add_function_arguments(function, skip={"archive", "options", *own} if kind else set())
    try:
        given = parser.parse_object({key: value for key, value in arguments.items() if key != "archive"})
        values = parser.instantiate(given).as_dict()
    except (ArgumentError, TypeError) as error:
        raise SistaError(f"arguments of sista {verb}: {' '.join(str(error).split())}") from error
    if kind is None:
        return partial(function, **values)
    opened = kind(**{name: values.pop(name) for name in list(values) if name in own})
    return partial(function, opened, **values)

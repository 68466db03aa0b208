"""The arguments of the command line as people write them: switches and lists spelled out for the parser, its messages in one line."""

from __future__ import annotations

import json
import re
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any

from sista.errors import nearest

_PLAIN = {  # a type as the parser prints it -> what it means
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "list[str]": "a list such as [a, b]",
    "list[float]": "a list of numbers such as [0.1, 1]",
    "list[int]": "a list of whole numbers such as [0, 1]",
    "tuple": "as many numbers as --help shows",
    "dict[str, typing.Any]": "settings such as {name: value}; or one by one, with a dot before each setting's name",
    "dict[str, str]": "pairs such as {name: value}",
}


def underscores(argument: str) -> str:
    """--batch-size and --batch_size are the same option."""
    match = re.match(r"--[\w.-]+", argument)
    return argument if not match else "--" + match[0][2:].replace("-", "_") + argument[match.end() :]


def spelled_out(arguments: Sequence[str], types_of: Mapping[str, Any]) -> list[str]:
    """Each switch with its value, each list in brackets.

    Args:
        arguments: as the user wrote them.
        types_of: option, such as "--shares", -> the type of its value.

    Returns:
        `--text_only` as `--text_only true`; `--shares 0.1 1`, `--shares 0.1,1` and `--shares=0.1,1` as `--shares [0.1, 1]`. What already
        begins with a bracket, and null, stand as they are; so does a Path, whose name may hold a comma.
    """
    result: list[str] = []
    rest = list(arguments)
    while rest:
        name, equals, value = (argument := rest.pop(0)).partition("=")
        kind = types_of.get(name)
        if kind is bool and not equals and (not rest or rest[0].lower() not in ("true", "false")):
            result += [argument, "true"]
        elif (item := _item_type(kind)) is None:
            result.append(argument)
        else:
            values = [value] if equals else []
            while rest and not equals and not re.match(r"--?[A-Za-z]", rest[0]):
                values.append(rest.pop(0))
            result += [name, *_bracketed(values, item)]
    return result


def _item_type(kind: Any) -> type | None:
    """str, int or float where the values are a list or tuple of them; None for any other type."""
    if isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union:
        members = [member for member in typing.get_args(kind) if member is not type(None)]
        return _item_type(members[0]) if len(members) == 1 else None
    item = (typing.get_args(kind) or (None,))[0]
    return item if typing.get_origin(kind) in (list, tuple, Sequence) and item in (str, int, float) else None


def _bracketed(values: list[str], item: type) -> list[str]:
    if not values or (len(values) == 1 and (values[0].lstrip().startswith("[") or values[0] in ("null", "None"))):
        return values
    parts = [part.strip() for value in values for part in value.split(",")]
    return ["[" + ", ".join(json.dumps(part, ensure_ascii=False) if item is str else part for part in parts if part) + "]"]


def explain(message: str, options: Sequence[str]) -> str:
    """The parser's message in one line: which option, what it takes, what it got; the nearest options where one is unknown."""
    line = " ".join(message.split())
    unknown = re.search(r"[Uu]nrecognized arguments: (--[\w.]+)", line) or re.search(r"[Kk]ey [\"']([\w.]+)[\"'] is not expected", line)
    if unknown:
        name = unknown[1].lstrip("-")
        close = nearest(name, [option.lstrip("-") for option in options if option.startswith("--")]).split("? ")[0]
        hint = f"; {close}?" if close.startswith("did you mean") else "; --help lists them all"
        return f"unknown setting {name!r}{hint}"
    if missing := re.search(r"the following arguments are required: (.*)", line):
        return "give " + ", ".join(f"--{name.lstrip('-')}" for name in re.split(r",\s*", missing[1]))
    wrong = re.match(r'Parser key "([\w.]+)": (.*)', line)
    if not wrong:
        return line
    name, text = wrong.groups()
    expected = re.search(r"Subtypes: \[(.*?)\] Errors:", text) or re.search(r"Expected an? (<class '\w+'>|\S+?)\.? ", text)
    given = re.search(r"Given value: (.*)$", text) or re.search(r"Got value: (.*)$", text)
    if not (expected and given):
        return f"--{name}: {text}"
    kinds = [_PLAIN.get(kind, kind) for kind in re.sub(r"<class '(\w+)'>", r"\1", expected[1]).replace(", NoneType", "").split(" | ")]
    return f"--{name}: expected {' or '.join(kinds)}, got {given[1]!r}"

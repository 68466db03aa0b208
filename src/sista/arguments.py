"""The arguments of the command line as people write them: switches and lists spelled out for the parser, its messages in one line."""

from __future__ import annotations

import json
import re
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sista.errors import SistaError, nearest

_PLAIN = {  # a type as the parser prints it -> what it means
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "text",
    "list[str]": "a list such as [a, b]",
    "list[float]": "a list of numbers such as [0.1, 1]",
    "list[int]": "a list of whole numbers such as [0, 1]",
    "tuple": "as many numbers as --help shows",
    "dict[str, typing.Any]": "settings such as {name: value}, or one by one with a dot before each setting's name",
    "dict[str, str]": "pairs such as {name: value}",
}


def underscores(argument: str) -> str:
    """--batch-size and --batch_size are the same option."""
    match = re.match(r"--[\w.-]+", argument)
    return argument if not match else "--" + match[0][2:].replace("-", "_") + argument[match.end() :]


def config_first(arguments: Sequence[str]) -> list[str]:
    """The arguments with every `--config FILE` moved to the front, in their order: options beside a file win wherever they stand."""
    files, rest, left = list[str](), list[str](), list(arguments)
    while left:
        argument = left.pop(0)
        if argument == "--config" and left:
            files += [argument, left.pop(0)]
        else:
            (files if argument.startswith("--config=") else rest).append(argument)
    return [*files, *rest]


def spelled_out(arguments: Sequence[str], types_of: Mapping[str, Any]) -> list[str]:
    """Each switch with its value, each list in brackets.

    Args:
        arguments: as the user wrote them.
        types_of: option, such as "--shares", -> the type of its value.

    Returns:
        `--text_only` as `--text_only true`; `--shares 0.1 1`, `--shares 0.1,1` and `--shares=0.1,1` as `--shares [0.1, 1]`. What stands in
        brackets, and null, stay as they are. Where one value may be given in the place of a list, one value stays, commas and all. Raises
        SistaError for a list without any entry, for that would mean the default.
    """
    result: list[str] = []
    rest = list(arguments)
    while rest:
        name, equals, value = (argument := rest.pop(0)).partition("=")
        kind = types_of.get(name)
        item, alone = _list_type(kind)
        if kind is bool and not equals and (not rest or rest[0].lower() not in ("true", "false")):
            result += [argument, "true"]
        elif item is None:
            result.append(argument)
        else:
            values = [value] if equals else []
            while rest and not equals and not re.match(r"--?[A-Za-z]", rest[0]):
                values.append(rest.pop(0))
            result += [name, *_bracketed(name, values, item, alone)]
    return result


def _list_type(kind: Any) -> tuple[type | None, bool]:
    """Of a list or tuple the type of its entries, and whether one value may stand for it; (None, False) for any other type."""
    united = isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union
    members = [member for member in (typing.get_args(kind) if united else [kind]) if member is not type(None)]
    lists = [member for member in members if typing.get_origin(member) in (list, tuple, Sequence)]
    if len(lists) != 1:
        return None, False
    item = typing.get_args(lists[0])[0]
    others = [member for member in members if member is not lists[0]]
    return (item, bool(others)) if item in (str, int, float, Path) and others in ([], [item]) else (None, False)


def _bracketed(name: str, values: list[str], item: type, alone: bool) -> list[str]:
    whole = " ".join(values).strip()
    if not values or whole in ("null", "None") or (whole.startswith("[") and whole.endswith("]")):  # a shell parts [a, b] at its blanks
        return [whole] if values else []
    if alone and len(values) == 1:
        return values
    parts = [part for value in values for part in ([value] if alone else map(str.strip, value.split(","))) if part]
    if not parts:
        raise SistaError(f"{name} is empty; leave it out for what it is by default")
    return ["[" + ", ".join(json.dumps(part, ensure_ascii=False) if item in (str, Path) else part for part in parts) + "]"]


def explain(message: str, options: Sequence[str], given: Sequence[str] = ()) -> str:
    """The parser's message in one line: which option, what it takes, what it got; the nearest options where one is unknown.

    given: the arguments; an option that is none of them was named in the file of --config.
    """
    line = " ".join(message.split())
    unknown = re.search(r"[Uu]nrecognized arguments: (--[\w.-]+)", line) or re.search(
        r"(?:[Kk]ey|Option) [\"']([\w.-]+)[\"'] is not (?:expected|accepted)", line
    )
    if unknown:
        name = unknown[1].lstrip("-")
        close = nearest(name, [option.lstrip("-") for option in options if option.startswith("--")]).split("? ")[0]
        hint = f"; {close}?" if close.startswith("did you mean") else "; --help lists them all"
        return f"unknown setting {name!r}{hint}"
    if inside := re.search(r"Group '([\w.]+)' does not accept option '([\w.-]+)'", line):
        return explain(f"Unrecognized arguments: --{inside[1]}.{inside[2]}", options, given)
    if missing := re.search(r"the following arguments are required: (.*)", line):
        return "give " + ", ".join(f"--{name.lstrip('-')}" for name in re.split(r",\s*", missing[1]))
    wrong = re.match(r'Parser key "([\w.]+)": (.*)', line)
    if not wrong:
        return line
    name, text = wrong.groups()
    expected = re.search(r"Subtypes: \[(.*?)\] Errors:", text) or re.search(r"Expected an? (.+?)\.? Got value:", text)
    got = re.search(r"Given value: (.*)$", text) or re.search(r"Got value: (.*)$", text)
    if not (expected and got):
        return f"--{name}: {text}"
    written = any(argument.partition("=")[0] == f"--{name}" for argument in given)
    where = f"--{name}" if written or not given else f"{name}, in the file of --config"
    return f"{where}: expected {_in_words(expected[1])}, got {got[1]!r}"


def _in_words(expected: str) -> str:
    """What the parser calls `<class 'int'>`, `typing.Literal['a', 'b']`, or several of them."""
    choices = re.search(r"Literal\[(.*?)\]", expected)
    if choices:
        names = [name.strip(" '\"") for name in choices[1].split(",")]
        return " or ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
    kinds = re.sub(r"<class '(?:\w+\.)*(\w+)'>", r"\1", expected).replace(", NoneType", "")
    return _PLAIN.get(kinds, kinds)

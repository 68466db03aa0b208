"""The command line: every verb is a public function; its arguments are the options, and the keys of a YAML file given with --config."""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sista.arguments import config_first, explain, spelled_out, underscores
from sista.errors import SistaError, nearest

# verb: (module:function, first line of its help). Modules are imported when their verb is called, so that `sista --help` is quick.
VERBS = {
    "archives": ("sista.archives.registry:archives", "list the archives that `build` reads"),
    "build": ("sista.archives.build:build", "build a corpus from an archive: sista build ARCHIVE --out DIR ..."),
    "check": ("sista.corpus.check:check", "check a corpus, or an archive before building: counts, text, duplicates, leaks"),
    "methods": ("sista.methods:methods", "list the methods, or the settings of one"),
    "protocol": ("sista.protocols.explain:protocol", "list, explain and check the published protocols; write their id lists"),
    "pretrain": ("sista.training.pretrain:pretrain", "pre-train an image and a text encoder on a corpus"),
    "zeroshot": ("sista.inference.zero_shot:zeroshot", "classify films by prompts, without labels"),
    "probe": ("sista.transfer.probe:probe", "train a linear classifier on frozen features with 1, 10 and 100 % of the labels"),
    "classify": ("sista.transfer.classify:classify", "train a classifier, or tune the encoder, with 1, 10 and 100 % of the labels"),
    "segment": ("sista.transfer.segment:segment", "train a segmentation decoder on an encoder with a share of the masks"),
    "detect": ("sista.transfer.detect:detect", "train a detector on an encoder with a share of the boxes"),
    "retrieve": ("sista.inference.retrieval:retrieve", "find reports by film and films by text"),
    "ground": ("sista.inference.grounding:ground", "show where on the film a phrase is, and score it against regions"),
    "embed": ("sista.inference.embed_archive:embed", "embed a corpus or a table of films to Parquet, resumable"),
    "controls": ("sista.benchmark.controls:controls", "whether a run's token terms look at the film: losses on right, wrong and mean film"),
    "export": ("sista.inference.export:export", "write a model as torch.export and ONNX programs that need no sista"),
    "compare": ("sista.benchmark.compare:compare", "compare two runs on the same films by a paired bootstrap: sista compare A B"),
    "benchmark": ("sista.benchmark.grid.run:benchmark", "compare methods over encoders, tasks and seeds: sista benchmark GRID.yaml"),
    "demo": ("sista.benchmark.demo:demo", "build, pre-train and evaluate on procedural films, with a report in HTML"),
}

# the arguments that may be given without their names, first: `sista check CORPUS`
FIRST = {"check": ("data",), "methods": ("name",), "protocol": ("name",), "compare": ("a", "b"), "benchmark": ("grid",)}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 when it succeeded, 2 when the user can mend what went wrong, 130 when interrupted."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_overview())
        return 0
    if arguments[0] in ("-V", "--version"):
        from sista import __version__

        print(f"sista {__version__}")
        return 0
    verb, rest = arguments[0], [underscores(a) for a in arguments[1:]]
    try:
        if verb not in VERBS:
            raise SistaError(f"unknown command {verb!r}: {nearest(verb, VERBS)}")
        as_json = "--json" in rest
        result = _run(verb, [a for a in rest if a != "--json"])
    except SistaError as error:
        print(f"sista {verb}: {error}", file=sys.stderr)
        return 2
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:  # a file where a folder belongs, or the reverse
        print(f"sista {verb}: {error.filename}: {error.strerror}; give another path", file=sys.stderr)
        return 2
    except OSError as error:  # no right to write there, a disk that is read-only
        if error.filename is None:
            raise
        print(f"sista {verb}: {error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"sista {verb}: interrupted", file=sys.stderr)
        return 130
    if os.environ.get("WORLD_SIZE", "1") != "1" and os.environ.get("RANK", "0") != "0":  # of torchrun's processes the first alone speaks
        return 0
    try:
        print(_json(result) if as_json else "\n".join(_lines(result)), flush=True)
    except BrokenPipeError:  # the reader, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _run(verb: str, arguments: list[str]) -> dict[str, Any]:
    module, name = VERBS[verb][0].split(":")
    function = getattr(importlib.import_module(module), name)
    if verb == "build":
        return _run_build(function, arguments)
    if verb == "check" and arguments and _is_archive(arguments[0]):
        return _check_archive(arguments[0], arguments[1:])
    if verb == "check" and arguments:
        _suggest_archive(arguments[0])
    return function(**_parse(verb, _named(verb, arguments), function))


def _is_archive(name: str) -> bool:
    from sista.archives.registry import ARCHIVES

    return name in ARCHIVES and not Path(name).exists()


def _suggest_archive(name: str) -> None:
    """SistaError for what is no folder, and nearly the name of an archive."""
    from sista.archives.registry import ARCHIVES

    close = nearest(name, ARCHIVES)
    if not name.startswith("-") and not Path(name).exists() and close.startswith("did you mean"):
        raise SistaError(f"{name!r} is neither a corpus' folder nor an archive: {close}")


def _named(verb: str, arguments: list[str]) -> list[str]:
    """The leading arguments without names get theirs."""
    names = FIRST.get(verb, ())
    bare = next((place for place, argument in enumerate(arguments) if argument.startswith("-")), len(arguments))
    if bare > len(names):
        raise SistaError(f"{arguments[len(names)]!r} has no option's name before it; --help lists the options")
    return [*(part for name, value in zip(names, arguments[:bare], strict=False) for part in (f"--{name}", value)), *arguments[bare:]]


def _check_archive(name: str, arguments: list[str]) -> dict[str, Any]:
    """`sista check ARCHIVE ...`: look at a release before it is built."""
    from sista.archives.registry import archive_class
    from sista.corpus.check_archive import check_archive

    kind = archive_class(name)
    values = _parse(f"check {name}", arguments, check_archive, kind, skip={"archive"})
    own = {key: values.pop(key) for key in list(values) if key in _parameters(kind)}
    return check_archive(kind(**own), **values)


def _run_build(function: Callable[..., Any], arguments: list[str]) -> dict[str, Any]:
    """`build` takes the options of the archive named first as well as its own."""
    from sista.archives.registry import ARCHIVES, archive_class

    if not arguments or arguments[0] in ("-h", "--help"):
        print(f"usage: sista build ARCHIVE --out DIR [options]\n\narchives: {', '.join(ARCHIVES)}")
        print("`sista build ARCHIVE --help` has the options of one")
        raise SystemExit(0)
    name, kind = arguments[0], archive_class(arguments[0])
    values = _parse(f"build {name}", arguments[1:], function, kind, skip={"archive", "options", *_parameters(kind)})
    own = {key: values.pop(key) for key in list(values) if key in _parameters(kind)}
    return function(kind(**own), **values)


def _parse(
    verb: str, arguments: list[str], function: Callable[..., Any], kind: type | None = None, skip: set[str] | None = None
) -> dict[str, Any]:
    from jsonargparse import ArgumentError, ArgumentParser

    from sista.config_file import ConfigFile

    parser = ArgumentParser(prog=f"sista {verb}", description=(function.__doc__ or "").split("Args:")[0], exit_on_error=False)
    parser.add_argument(
        "--config", action=ConfigFile, help="a YAML file with any of the options below; those given beside it win; of two files the later"
    )
    if kind is not None:
        parser.add_class_arguments(kind)
    parser.add_function_arguments(function, skip={*(skip or ())})
    parser.epilog = "A list is written [a, b], a,b or a b. Every command takes --json: its last line of output is then one JSON object."
    kinds = {option: getattr(action, "_typehint", None) for action in parser._actions for option in action.option_strings}
    try:
        parsed = parser.parse_args(spelled_out(config_first(arguments), kinds))
        values = parser.instantiate(parsed).as_dict()
    except (ArgumentError, TypeError) as error:
        raise SistaError(explain(str(error), [*kinds], arguments)) from error
    values.pop("config", None)
    return {key: value for key, value in values.items() if not key.startswith("__")}


def _parameters(kind: type) -> set[str]:
    import inspect

    return set(inspect.signature(kind).parameters)


def _overview() -> str:
    width = max(len(verb) for verb in VERBS)
    verbs = "\n".join(f"  {verb:{width}}  {text}" for verb, (_, text) in VERBS.items())
    return f"""usage: sista COMMAND [options]

From radiographs and reports to an image encoder, and from the encoder to answers.

commands:
{verbs}

`sista COMMAND --help` has the options of one. Every command takes --config FILE.yaml and --json."""


def _json(value: Any) -> str:
    """One line of JSON; a figure that is not there (NaN) is null, as result.json has it."""
    from sista.metrics.result import plain

    return json.dumps(plain(value), default=str, allow_nan=False)


def _lines(value: Any, indent: str = "") -> list[str]:
    """A result for people: nested names indented, an estimate with its interval in one line."""
    if not isinstance(value, dict):
        return [f"{indent}{_short(value)}"]
    lines = []
    for key, item in value.items():
        if isinstance(item, dict) and set(item) >= {"value", "ci95"}:
            low, high = item["ci95"]
            beside = "".join(f", {name} {_short(held)}" for name, held in item.items() if name not in ("value", "ci95"))
            lines.append(f"{indent}{key}: {_short(item['value'])} [{_short(low)}, {_short(high)}]{beside}")
        elif isinstance(item, dict):
            lines += [f"{indent}{key}:", *_lines(item, indent + "  ")] if item else []
        elif isinstance(item, list | tuple) and any(isinstance(entry, dict) or len(str(entry)) > 40 for entry in item):
            lines += [f"{indent}{key}:", *[f"{indent}  - " + "  ".join(_lines(entry)) for entry in item]]
        else:
            lines.append(f"{indent}{key}: {_short(item)}")
    return lines


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(_short(item) for item in value)
    return str(value)


if __name__ == "__main__":
    sys.exit(main())

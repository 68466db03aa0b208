"""The verb `protocol`: list the protocols, explain one, check the data at hand against it, and write its id lists."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sista.errors import SistaError
from sista.protocols.assign import assign, cases_of, coded_shares, label_shares, release_of
from sista.protocols.check import check_counts
from sista.protocols.protocol import STATUS, Protocol
from sista.protocols.published import SOURCES
from sista.protocols.registry import PROTOCOLS, protocol_named
from sista.protocols.split_list import write_lists


def protocol(name: str | None = None, table: Path | None = None, out: Path | None = None) -> dict:
    """List the published protocols; explain one; with the release's table, check the counts and write the id lists.

    Args:
        name: a protocol, such as mgca-chexpert; without it all are listed
        table: the data set's main table as released (such as CheXpert's train.csv); companions and list files are read from beside it
        out: a folder for train.txt, valid.txt, test.txt, the label shares and protocol.json with a SHA-256 of each
    """
    if name is None:
        if table is not None or out is not None:
            raise SistaError("which protocol? Give its name with --table and --out; without arguments `sista protocol` lists all")
        return {one.name: _line(one) for one in PROTOCOLS.values()}
    chosen = protocol_named(name)
    if table is None:
        if out is not None:
            raise SistaError(f"--out needs --table: id lists of {name} are made from {chosen.data.table.file} ({chosen.data.obtain})")
        return describe(chosen)
    table = Path(table)
    if out is not None:
        _require_own_folder(Path(out), table)
    release = release_of(chosen, table)
    cases = cases_of(chosen, release)
    split = assign(chosen, release)
    result: dict[str, Any] = {
        "protocol": name,
        "status": split.status,
        "check": check_counts(chosen, release, cases, split),
        "notes": list(split.notes),
        "checksum": split.checksum,
    }
    if out is None:
        return result
    out = Path(out)
    files = split.write(out)
    shares = {f"shares/{key}.txt": ids for key, ids in label_shares(cases, split.train).items()} if split.train else {}
    shares |= {f"shares/{key}.txt": ids for key, ids in coded_shares(chosen, cases, split.train).items()}
    files |= write_lists(shares, out)
    origin = {"file": table.name, "sha256": hashlib.sha256(table.read_bytes()).hexdigest()}
    versions = {package: importlib.metadata.version(package) for package in ("numpy", "pandas", "scikit-learn")}
    means = {"status means": STATUS[split.status]}
    record = {**describe(chosen), **result, **means, "table": origin, "files": files, "versions": versions}
    _remove_others(out, files)
    (out / "protocol.json").write_text(json.dumps(record, indent=2) + "\n")
    return {**result, "files": files, "written to": str(out)}


def _remove_others(out: Path, files: Mapping[str, Any]) -> None:
    """Remove the lists of an earlier call that this one has none of: its shares may hold images of the new test list."""
    try:
        earlier = set(json.loads((out / "protocol.json").read_text(encoding="utf-8"))["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return
    for name in earlier - set(files):
        if (file := out / name).resolve().is_relative_to(out.resolve()):
            file.unlink(missing_ok=True)


def _require_own_folder(out: Path, table: Path) -> None:
    """SistaError where the lists would overwrite the release (COVIDx has a train.txt of its own), or cannot be written."""
    if out.resolve() == table.resolve().parent:
        raise SistaError(
            f"--out {out} is the folder of {table.name}, whose train.txt or test.txt could be overwritten; give another folder"
        )
    for place in (out, *out.parents):
        if place.exists() and not place.is_dir():
            raise SistaError(f"--out {out}: {place} is a file; give a folder for the id lists")


def describe(protocol: Protocol) -> dict:
    """Every field of a protocol, JSON-able."""
    scores = [score for task in protocol.tasks for score in task.scores]
    return {
        "protocol": protocol.name,
        "data set": protocol.data.name,
        "citation": protocol.citation,
        "status": protocol.status,
        "status means": STATUS[protocol.status] + _with_lists(protocol),
        "split": protocol.split,
        "sizes": protocol.sizes.as_dict(),
        "sizes reported elsewhere": protocol.reported.as_dict() if protocol.reported else {},
        "known defects": list(protocol.defects),
        "label shares as published": protocol.shares,
        "table": protocol.data.table.file,
        "beside it": [companion.file for companion in protocol.data.companions.values()] + [names[0] for names in protocol.lists.values()],
        "obtain": protocol.data.obtain,
        "published counts": dict(protocol.data.counts),
        "tasks": {task.name: _task(task) for task in protocol.tasks},
        "sources": {key: SOURCES[key] for key in sorted({score.source for score in scores})},
    }


def _task(task: Any) -> dict:
    return {
        "labels": list(task.labels),
        "label policy": task.label_policy,
        "image size": task.image_size,
        "preprocessing": task.preprocessing,
        "head": task.head,
        "loss": task.loss,
        "optimiser": task.optimiser,
        "metric": task.metric,
        "published, 1 / 10 / 100 %": {f"{score.method} ({score.source})": score.shares for score in task.scores},
    }


def _line(protocol: Protocol) -> str:
    sizes = " / ".join(f"{size:,}" for size in protocol.sizes.as_dict().values())
    return f"{protocol.data.name}: {', '.join(task.name for task in protocol.tasks)}; {sizes}; {protocol.status}{_with_lists(protocol)}"


def _with_lists(protocol: Protocol) -> str:
    return f" ({protocol.with_lists} with the authors' lists beside the table)" if protocol.with_lists else ""

"""The jobs of a grid: each one command with its arguments, in a folder named by the hash of all that determines its result."""

from __future__ import annotations

import hashlib
import inspect
import json
import re
import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from sista import __version__
from sista.archives.listed import Listed
from sista.benchmark.grid import content
from sista.benchmark.grid.calls import function_of, prepare
from sista.benchmark.grid.merge import merged
from sista.benchmark.grid.settings import Grid
from sista.corpus.corpus import Corpus
from sista.corpus.disk import read_json, write_bytes
from sista.errors import SistaError

DONE = {"build": "corpus.json", "pretrain": "summary.json"}  # the file that is written last; of all others result.json
WITHOUT_EFFECT = ("workers",)  # on the bytes of a result
REVISIONS = {  # commands that no longer answer as published tables have it
    "ground": 2,  # maps are drawn where patches look
    "segment": 2,  # maps start nearly empty
}


@dataclass(frozen=True, eq=False)
class Job:
    """One command. needs: folders of the jobs before it. key: (task, encoder, method, seed), "" where it has none."""

    verb: str
    folder: Path
    arguments: Mapping[str, Any]
    needs: tuple[Path, ...]
    digest: str
    key: tuple[str, str, str, int]

    @property
    def done(self) -> bool:
        """Whether its result is there."""
        return (self.folder / DONE.get(self.verb, "result.json")).is_file()

    @property
    def name(self) -> str:
        """What tables call it: the beginning of its hash."""
        return self.digest[:16]

    @property
    def precision(self) -> str:
        """Of the pre-training that a task stands on: its number format and its device, "bf16 on cpu"; "" where that is not written down."""
        summary = Path(self.arguments["model"]) / "summary.json"
        held = read_json(summary) if summary.is_file() else {}
        return f"{held['precision']} on {held['device'].partition(':')[0]}" if {"precision", "device"} <= set(held) else ""

    @property
    def config(self) -> Path:
        """Where its arguments are written down."""
        return self.folder.with_name(f"{self.folder.name}.yaml")

    @property
    def failure(self) -> str:
        """Why it failed when it was last tried, or ""."""
        file = self.config.with_suffix(".failed.txt")
        return "" if self.done or not file.is_file() else file.read_text().strip()

    def note_failure(self, reason: str) -> None:
        """Keep why it failed; "" where it did not."""
        file = self.config.with_suffix(".failed.txt")
        if reason:
            write_bytes(file, f"{reason}\n".encode())
        else:
            file.unlink(missing_ok=True)

    def command(self) -> str:
        """The same from a shell."""
        archive = f" {self.arguments['archive']}" if self.verb == "build" else ""
        return f"sista {self.verb}{archive} --config {shlex.quote(str(self.config))}"

    def write_config(self) -> None:
        """Write `config`, which the command line takes."""
        held = {key: value for key, value in self.arguments.items() if key != "archive"}
        self.config.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(self.config, yaml.safe_dump(held, sort_keys=False).encode())

    def prepare(self) -> partial[Any]:
        """The call that does it; raises SistaError for arguments that the command does not take."""
        return prepare(self.verb, self.arguments)

    def metrics(self) -> dict[str, Any]:
        """What a task that is done found; SistaError where its file does not hold that."""
        file = self.folder / "result.json"
        if not isinstance(metrics := read_json(file).get("metrics"), dict):
            raise SistaError(f"{file} holds no metrics; delete it, and the same call makes it again")
        return metrics

    def run(self) -> None:
        """Do it in this process; raises what the command raises."""
        self.prepare()()


def jobs_of(grid: Grid, out: Path, chosen: Mapping[tuple[str, str], Mapping[str, Any]] | None = None) -> list[Job]:
    """All jobs of a grid under `out`: corpora first, then seed by seed the runs, each followed by its tasks.

    chosen: (encoder, method) -> what its tuning changes.
    Archives are opened, and built corpora looked at, for the hash of what they hold. Raises SistaError for those that are not there.
    """
    corpora = {name: _corpus(name, spec, out) for name, spec in grid.corpora.items()}
    jobs = [job for job in corpora.values() if isinstance(job, Job)]
    for seed in grid.seeds:
        for encoder, of_encoder in grid.encoders.items():
            for method, of_method in grid.methods.items():
                stated = {key: value for key, value in (of_method or {}).items() if key not in ("trials", "reference", "over")}
                of_run = merged(stated, (chosen or {}).get((encoder, method), {}))
                run = _run(grid, corpora, out, (encoder, method, seed), of_encoder, of_run)
                jobs += [run, *(_task(grid, corpora, out, run, name, seed) for name in grid.tasks)]
    _refuse_one_folder(jobs)
    return jobs


def _refuse_one_folder(jobs: Sequence[Job]) -> None:
    """SistaError for two jobs in one folder: names that differ by signs alone, which folders do not have, of the same arguments."""
    by_folder = dict[Path, Job]()
    for job in jobs:
        if (other := by_folder.setdefault(job.folder, job)) is not job:
            ours, theirs = ([part for part in one.key[:3] if part] for one in (job, other))
            named = " and ".join(
                repr(name) for pair in zip(theirs, ours, strict=True) for name in dict.fromkeys(pair) if len(set(pair)) > 1
            )
            raise SistaError(f"{named} come to one folder, {job.folder.name}; give one of them another name")


def missing_of(jobs: Sequence[Job], known: Collection[Job] = ()) -> list[Job]:
    """Of a grid's jobs, in their order, the tasks that are not done, those whose figures are `known` left out, and what they need."""
    missing = list[Job]()
    needed = set[Path]()
    for job in reversed(jobs):  # what a job needs stands before it
        if not job.done and job not in known and (job.key[0] or job.folder in needed):
            missing.append(job)
            needed.update(job.needs)
    return missing[::-1]


def _corpus(name: str, spec: Mapping[str, Any], out: Path) -> Job | Corpus:
    if "path" in spec:
        return Corpus.open(Path(spec["path"]))
    folder = out / "corpora" / name
    try:
        call = prepare("build", {**spec, "out": str(folder)})
        archive, lists = call.args[0], call.keywords.get("lists")
        held = (archive if lists is None else Listed(archive, lists)).describe()
    except SistaError as error:
        raise SistaError(f"corpus {name!r}: {error}") from error
    tokenizer = content.of_build(spec)
    return _job("build", folder, dict(spec), ("", "", "", -1), held if tokenizer is None else {"archive": held, "tokenizer": tokenizer})


def _run(
    grid: Grid, corpora: Mapping[str, Job | Corpus], out: Path, key: tuple[str, str, int], of_encoder: Mapping[str, Any], of_method: Any
) -> Job:
    encoder, method, seed = key
    arguments = merged(merged({"method": method, **grid.pretrain}, of_encoder or {}), of_method)
    arguments["data"] = corpora[arguments["data"]]
    arguments["run"] = {**arguments.get("run", {}), "seed": seed, "progress": False}
    return _job("pretrain", out / "runs" / _named(encoder, method, seed), arguments, ("", *key), content.of_run(arguments))


def _task(grid: Grid, corpora: Mapping[str, Job | Corpus], out: Path, run: Job, name: str, seed: int) -> Job:
    spec = grid.tasks[name]
    verb = spec.get("task", name)
    arguments = {key: value for key, value in spec.items() if key not in ("task", "metrics")}
    arguments |= {"data": corpora[spec["data"]], "model": run}
    if "seed" in inspect.signature(function_of(verb)).parameters:
        arguments.setdefault("seed", seed)
    _, encoder, method, _ = run.key
    where = out / "tasks" / _named(name, encoder, method, seed)
    return _job(verb, where, arguments, (name, encoder, method, seed), content.of_task(arguments))


def _named(*parts: Any) -> str:
    return re.sub(r"[^\w.+-]+", "_", "-".join(map(str, parts)))[:150]  # what a file system takes, with the hash and an ending


def _job(verb: str, folder: Path, arguments: dict[str, Any], key: tuple[str, str, str, int], held: Any = None) -> Job:
    """Jobs and corpora among the arguments become their folders, and their hashes, like `held`, go into this one's."""
    stated = {name: _identity(value) for name, value in arguments.items() if name not in WITHOUT_EFFECT}
    command = f"{verb} {REVISIONS[verb]}" if verb in REVISIONS else verb
    if _several_heads(verb, stated):
        command += ", draws apart"  # published tables have heads that neighbouring seeds shared
    digest = hashlib.sha256(json.dumps([__version__, command, stated, held], sort_keys=True, default=str).encode()).hexdigest()
    where = folder.with_name(f"{folder.name}-{digest[:10]}")
    plain = {name: _plain(value) for name, value in arguments.items()}
    needs = tuple(value.folder for value in arguments.values() if isinstance(value, Job))
    return Job(verb, where, {**plain, "out": str(where)}, needs, digest, key)


def _several_heads(verb: str, arguments: Mapping[str, Any]) -> bool:
    """Whether a command trains heads by gradient steps in more than one draw of a label share."""
    if verb == "classify":
        linear = arguments.get("mode", "linear") == "linear"
        if linear and arguments.get("head", "lbfgs") == "lbfgs":
            return False  # the optimum, whatever the seed
        return max(arguments.get("draws") or [2 if linear else 1]) > 1
    return verb in ("segment", "detect") and max(arguments.get("draws") or [1]) > 1


def _identity(value: Any) -> Any:
    if isinstance(value, Job):
        return f"job {value.digest}"
    return f"corpus {value.fingerprint}" if isinstance(value, Corpus) else _plain(value)


def _plain(value: Any) -> Any:
    """As YAML has it."""
    if isinstance(value, Job | Corpus):
        return str(value.folder if isinstance(value, Job) else value.path)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value

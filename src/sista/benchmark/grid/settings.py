"""A grid as its YAML file states it, checked before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from sista.benchmark.grid.merge import merged
from sista.errors import SistaError, nearest

# task: (module:function, its figures in the main table); "@" stands for every share of the labels
TASKS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "probe": ("sista.transfer.probe:probe", ("auroc@",)),
    "classify": ("sista.transfer.classify:classify", ("auroc@",)),
    "segment": ("sista.transfer.segment:segment", ("dice@",)),
    "detect": ("sista.transfer.detect:detect", ("ap50@",)),
    "zeroshot": ("sista.inference.zero_shot:zeroshot", ("auroc",)),
    "retrieve": ("sista.inference.retrieval:retrieve", ("i2t_r10", "t2i_r10", "i2t_r10_semantic", "t2i_r10_semantic")),
    "ground": ("sista.inference.grounding:ground", ("pointing_game/phrase", "contrast_to_noise/phrase", "own_side/phrase")),
    "controls": (
        "sista.benchmark.controls:controls",
        (
            "token/wrong_gap",
            "token/mean_gap",
            "sentence/wrong_gap",
            "sentence/mean_gap",
            "within/wrong_gap",
            "within/mean_gap",
            "position_share",
        ),
    ),
}
OF_ENCODERS = ("model", "optimizer")
OF_METHODS = ("method", "settings", "teacher", "optimizer", "run", "data", "trials", "reference", "over")
GROUPS = ("model", "settings", "optimizer", "run")  # of these keys, those that hold settings by name
OF_TRIALS = ("method", "settings", "teacher", "optimizer")
OF_TUNING = ("seeds", "pretrain", "task")
TUNABLE = ("zeroshot", "retrieve", "ground")  # tasks that can be scored on a valid split, and of which more is better
Group = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Grid:
    """What is compared.

    name: of the whole. about: what it is for, in a sentence or two, for the page. corpora: name -> an archive and the arguments of its
    build, or `path: DIR`. pretrain: arguments of `sista pretrain` that all runs share; its `data` names a corpus. encoders: name -> `model`
    and `optimizer` settings. methods: name -> method, settings, teacher, optimizer, run, and `data` where it learns from another corpus
    than the rest; with `reference: true` a floor or ceiling, which is never called the best; with `over: NAME` its gains are stated
    over that method instead of the baseline. baseline: the method over which the gains of the others are stated. tasks: name -> `task`
    (by default the name itself), `data` (a corpus), arguments of the command, and `metrics`, those of the main table. seeds: of the
    weights, the order of the pairs, augmentation, and of the heads. tune: seeds, `pretrain` (changes to the shared arguments), and
    `task` with its `metric`, by which the best of each method's `trials` is chosen, on a valid split.
    """

    name: str
    corpora: Group
    pretrain: Mapping[str, Any]
    encoders: Group
    methods: Group
    tasks: Group
    seeds: tuple[int, ...]
    about: str = ""
    baseline: str = ""
    tune: Mapping[str, Any] | None = None

    def over(self, method: str) -> str:
        """The method over which this one's gains are stated; "" without one."""
        other = str((self.methods[method] or {}).get("over", self.baseline))
        return "" if other == method else other


def read_grid(path: Path) -> Grid:
    """The grid of a YAML file; raises SistaError for what is not known or missing."""
    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SistaError(f"grid {path} cannot be read ({str(error).splitlines()[0]})") from error
    if not isinstance(given, dict):
        raise SistaError(f"grid {path} is not a mapping; expected {', '.join(f.name for f in fields(Grid))}")
    known = {f.name for f in fields(Grid)}
    for key in given:
        if key not in known:
            raise SistaError(f"grid {path}: unknown key {key!r}: {nearest(str(key), known)}")
    if missing := [key for key in ("name", "corpora", "pretrain", "encoders", "methods", "tasks", "seeds") if not given.get(key)]:
        raise SistaError(f"grid {path} has no {', '.join(missing)}")
    if not isinstance(given["seeds"], list) or not all(isinstance(seed, int) for seed in given["seeds"]):
        raise SistaError(f"grid {path}: seeds must be a list of whole numbers, not {given['seeds']!r}")
    for key in ("corpora", "encoders", "methods", "tasks"):
        if not isinstance(given[key], dict):
            raise SistaError(f"grid {path}: {key} must be a mapping from names, not {given[key]!r}")
    for key in ("corpora", "tasks"):
        if empty := [name for name, spec in given[key].items() if not isinstance(spec, dict)]:
            raise SistaError(f"grid {path}: {empty[0]!r} of {key} is empty; it must be a mapping")
    grid = Grid(**{**given, "seeds": tuple(given["seeds"])})
    _check(grid, path)
    return grid


def _check(grid: Grid, path: Path) -> None:
    for name, spec in grid.corpora.items():
        if ("archive" in spec) == ("path" in spec):
            raise SistaError(f"grid {path}: corpus {name!r} needs an archive to build from, or the path of a built corpus")
    for kind, group, allowed in (("encoder", grid.encoders, OF_ENCODERS), ("method", grid.methods, OF_METHODS)):
        for name, spec in group.items():
            for key in spec or {}:
                if key not in allowed:
                    raise SistaError(f"grid {path}: {kind} {name!r} has an unknown key {key!r}: {nearest(key, allowed)}")
    for name, spec in (("pretrain", grid.pretrain), *grid.encoders.items(), *grid.methods.items()):
        for key in GROUPS:
            if not isinstance(held := (spec or {}).get(key, {}), dict):
                raise SistaError(f"grid {path}: {key} of {name!r} must be a mapping from settings, not {held!r}")
        if "seed" in (spec or {}).get("run", {}):
            raise SistaError(f"grid {path}: run of {name!r} has a seed; the grid's own `seeds` are those of its runs, leave it out")
    for name, spec in grid.methods.items():
        trials = (spec or {}).get("trials", [])
        if not isinstance(trials, list) or not all(isinstance(trial, dict) for trial in trials):
            raise SistaError(f"grid {path}: the trials of {name!r} must be a list of mappings; {{}} is the method as it stands")
        for trial in trials:
            for key in trial:
                if key not in OF_TRIALS:
                    raise SistaError(f"grid {path}: a trial of {name!r} has an unknown key {key!r}: {nearest(key, OF_TRIALS)}")
        resolved = [_resolved(name, spec or {}, trial) for trial in (trials or [{}])]
        if any(one in resolved[:place] for place, one in enumerate(resolved)):
            raise SistaError(f"grid {path}: two trials of {name!r} come to the same settings")
    if grid.baseline and grid.baseline not in grid.methods:
        raise SistaError(f"grid {path}: the baseline {grid.baseline!r} is none of its methods: {nearest(str(grid.baseline), grid.methods)}")
    for name, spec in grid.methods.items():
        if other := (spec or {}).get("over"):
            if other == name or other not in grid.methods:
                others = [one for one in grid.methods if one != name]
                raise SistaError(f"grid {path}: {name!r} is to be over {other!r}, which is no other method: {nearest(str(other), others)}")
            if not grid.baseline:
                raise SistaError(f"grid {path}: {name!r} is to be over {other!r}, but the grid has no baseline for the others")
    _check_tuning(grid, path)
    for name, spec in grid.tasks.items():
        if (task := spec.get("task", name)) not in TASKS:
            raise SistaError(f"grid {path}: unknown task {task!r}: {nearest(task, TASKS)}")
    of_methods = [(name, spec["data"]) for name, spec in grid.methods.items() if "data" in (spec or {})]
    of_tasks = [(name, spec.get("data")) for name, spec in grid.tasks.items()]
    for where, data in [("pretrain", grid.pretrain.get("data")), *of_methods, *of_tasks]:
        if data not in list(grid.corpora):  # whatever stands there, a list too
            raise SistaError(f"grid {path}: {where} has data {data!r}, which is none of the corpora {', '.join(grid.corpora)}")
    if len(set(grid.seeds)) != len(grid.seeds):
        raise SistaError(f"grid {path}: a seed stands twice in {list(grid.seeds)}")


def _resolved(name: str, spec: Mapping[str, Any], trial: Mapping[str, Any]) -> tuple[Any, ...]:
    """What a trial comes to: the method, all of its settings, teacher and optimizer."""
    from sista.methods import settings_of

    changed = merged(spec, trial)
    method = changed.get("method", name)
    return method, settings_of(method, dict(changed.get("settings") or {})), changed.get("teacher"), changed.get("optimizer") or {}


def _check_tuning(grid: Grid, path: Path) -> None:
    """As many trials for each method that is tuned at all, and scored on a valid split."""
    counts = {name: len(spec["trials"]) for name, spec in grid.methods.items() if (spec or {}).get("trials")}
    if grid.tune is None:
        if counts:
            raise SistaError(f"grid {path}: {next(iter(counts))!r} has trials, but the grid has no `tune` that says how they are scored")
        return
    if (
        not isinstance(grid.tune, dict)
        or not isinstance(grid.tune.get("task"), dict)
        or not isinstance(grid.tune.get("pretrain") or {}, dict)
    ):
        raise SistaError(f"grid {path}: tune must be a mapping with seeds, a task and, where trials differ from the rest, pretrain")
    for key in grid.tune:
        if key not in OF_TUNING:
            raise SistaError(f"grid {path}: tune has an unknown key {key!r}: {nearest(key, OF_TUNING)}")
    if not counts:
        raise SistaError(f"grid {path}: there is a `tune`, but no method has trials")
    if len(set(counts.values())) > 1:
        raise SistaError(f"grid {path}: methods have different numbers of trials ({counts}); give each as many")
    task = grid.tune["task"]
    if (
        not isinstance(grid.tune.get("seeds"), list)
        or not grid.tune["seeds"]
        or task.get("data") not in grid.corpora
        or task.get("task") not in TUNABLE
    ):
        raise SistaError(
            f"grid {path}: tune needs a list of seeds, and a task with `task` ({', '.join(TUNABLE)}), `data` (a corpus) and `metric`"
        )
    stems = {name.partition("/")[0] for name in TASKS[task["task"]][1]}
    if str(task.get("metric")).partition("/")[0] not in stems or (task["task"] == "ground" and "/" not in task["metric"]):
        raise SistaError(f"grid {path}: tune has metric {task.get('metric')!r}: {nearest(str(task.get('metric')), stems)}")
    if task.get("split") != "valid":
        raise SistaError(f"grid {path}: the tuning task must be scored on `split: valid`")
    if "data" in (grid.tune.get("pretrain") or {}):
        raise SistaError(f"grid {path}: trials are pre-trained on the grid's own pairs; leave `data` out of tune's pretrain")
    if shared := set(grid.tune["seeds"]) & set(grid.seeds):
        raise SistaError(f"grid {path}: tuning and comparing share seeds {sorted(shared)}; tune on others")

"""What a grid says is checked before anything runs: names, settings, splits, and that its comparison and its tuning are even."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import fields, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from sista.benchmark.grid.merge import merged
from sista.benchmark.grid.settings import GROUPS, OF_ENCODERS, OF_METHODS, OF_PRETRAIN, OF_TRIALS, OF_TUNING, TASKS, TUNABLE, Grid
from sista.corpus.study import SPLITS
from sista.corpus.teachers import TEACHERS
from sista.errors import SistaError, nearest

if TYPE_CHECKING:
    from sista.models.dual_encoder import DualEncoder


def check(grid: Grid) -> None:
    """SistaError for what cannot be run, would be run for nothing, or would not compare what it seems to."""
    for name, spec in grid.corpora.items():
        if ("archive" in spec) == ("path" in spec):
            raise SistaError(f"corpus {name!r} needs an archive to build from, or the path of a built corpus")
        if not isinstance(where := spec.get("archive", spec.get("path")), str):
            raise SistaError(f"corpus {name!r} has {where!r} for its archive or path, which is no text")
        if "path" in spec and (others := [str(key) for key in spec if key != "path"]):
            raise SistaError(f"corpus {name!r} is built already, at its path, where {', '.join(others)} would do nothing; leave that out")
    if "method" in grid.pretrain:
        raise SistaError("pretrain has a method, which would be that of all; methods are named under `methods`, leave it out")
    _check_settings("pretrain", grid.pretrain, OF_PRETRAIN)
    for name, spec in grid.encoders.items():
        _check_settings(f"encoder {name!r}", spec or {}, OF_ENCODERS)
    for name, spec in grid.methods.items():
        _check_settings(f"method {name!r}", spec or {}, OF_METHODS)
        if own := {"image_encoder", "text_encoder"} & set((spec or {}).get("model", {})):
            raise SistaError(f"method {name!r} has its own {min(own)}; encoders are named under `encoders`, for all methods alike")
    _check_gains(grid)
    _check_tasks(grid)
    _check_tuning(grid)
    for name, spec in grid.methods.items():
        for encoder in grid.encoders:
            if not (spec or {}).get("trials"):
                _resolved(grid, encoder, name, {})
    of_methods = [(name, spec["data"]) for name, spec in grid.methods.items() if "data" in (spec or {})]
    of_tasks = [(name, spec.get("data")) for name, spec in grid.tasks.items()]
    for where, data in [("pretrain", grid.pretrain.get("data")), *of_methods, *of_tasks]:
        if data not in list(grid.corpora):  # whatever stands there, a list too
            raise SistaError(f"{where} has data {data!r}, which is none of the corpora {', '.join(grid.corpora)}")


def check_seeds(seeds: Any, where: str) -> None:
    """SistaError for what is no list of whole numbers, and for one that stands there twice."""
    if not isinstance(seeds, list) or not all(type(seed) is int and seed >= 0 for seed in seeds):
        raise SistaError(f"{where} must be a list of whole numbers, 0 or more, not {seeds!r}")
    if len(set(seeds)) != len(seeds):
        raise SistaError(f"a seed stands twice in {where} {seeds}")


def _check_settings(where: str, spec: Mapping[str, Any], allowed: Collection[str]) -> None:
    """Known keys; mappings where settings are held by name; and no seed, of which the grid has its own."""
    for key in spec:
        if key not in allowed:
            raise SistaError(f"{where} has an unknown key {key!r}: {nearest(str(key), allowed)}")
    for key in GROUPS:
        if not isinstance(held := spec.get(key, {}), dict):
            raise SistaError(f"{key} of {where} must be a mapping from settings, not {held!r}")
        if wrong := [name for name in held if not isinstance(name, str)]:
            raise SistaError(f"{key} of {where} has a setting {wrong[0]!r}, which is no name")
    for key in ("method", "teacher", "over"):
        if not isinstance(held := spec.get(key, ""), str):
            raise SistaError(f"{key} of {where} must be a name, not {held!r}")
    if not isinstance(held := spec.get("reference", False), bool):
        raise SistaError(f"reference of {where} must be true or false, not {held!r}")
    if "seed" in spec.get("run", {}):
        raise SistaError(f"run of {where} has a seed; the grid's own `seeds` are those of its runs, leave it out")


def _check_gains(grid: Grid) -> None:
    if grid.baseline and grid.baseline not in grid.methods:
        raise SistaError(f"the baseline {grid.baseline!r} is none of its methods: {nearest(grid.baseline, grid.methods)}")
    for name, spec in grid.methods.items():
        if other := (spec or {}).get("over"):
            if other == name or other not in grid.methods:
                others = [one for one in grid.methods if one != name]
                raise SistaError(f"{name!r} is to be over {other!r}, which is no other method: {nearest(str(other), others)}")
            if not grid.baseline:
                raise SistaError(f"{name!r} is to be over {other!r}, but the grid has no baseline for the others")


def _check_tasks(grid: Grid) -> None:
    for name, spec in grid.tasks.items():
        if (task := spec.get("task", name)) not in list(TASKS):  # whatever stands there, a list too
            raise SistaError(f"unknown task {task!r}: {nearest(str(task), TASKS)}")
        for key, what in (("model", "the run that is scored"), ("out", "a folder of the grid's own")):
            if key in spec:
                raise SistaError(f"task {name!r} has a {key!r}, but that is {what}; leave it out")
        _require_names(f"task {name!r}", spec)
        if task == "controls":
            _check_controls(grid, name, spec)
        splits = [split for split in SPLITS if split != "train" or task != "controls"]  # controls are for films that were not learnt from
        if (split := spec.get("split", "test")) not in splits:
            raise SistaError(f"task {name!r} has split {split!r}: {nearest(str(split), splits)}")
        metrics = spec.get("metrics", [""])
        if not isinstance(metrics, list) or not metrics or not all(isinstance(metric, str) for metric in metrics):
            raise SistaError(f"the metrics of task {name!r} must be a list of names, not {metrics!r}")


def _check_controls(grid: Grid, name: str, spec: Mapping[str, Any]) -> None:
    """SistaError where a method's reports are read by another tokenizer than the controls': each build trains its own, unless told."""
    for method, of_method in grid.methods.items():
        learnt = str((of_method or {}).get("data", grid.pretrain.get("data")))
        both = [grid.corpora.get(corpus, {}) for corpus in (str(spec.get("data")), learnt)]
        if spec.get("data") != learnt and not any("path" in one or one.get("tokenizer") for one in both):
            raise SistaError(
                f"task {name!r} is on corpus {spec.get('data')!r}, but {method!r} learns from {learnt!r}, by another tokenizer; controls "
                "are of the corpus of the pre-training: give both corpora one `tokenizer`, or leave one of the two out"
            )


def _require_names(where: str, spec: Mapping[Any, Any]) -> None:
    if wrong := [key for key in spec if not isinstance(key, str)]:
        raise SistaError(f"{where} has {wrong[0]!r}, which is no name of an argument; put it in quotes if it is")


def _check_tuning(grid: Grid) -> None:
    """As many trials for each method that is tuned at all, no two the same, and scored on a valid split."""
    for name, spec in grid.methods.items():
        trials = (spec or {}).get("trials", [])
        if not isinstance(trials, list) or not all(isinstance(trial, dict) for trial in trials):
            raise SistaError(f"the trials of {name!r} must be a list of mappings; {{}} is the method as it stands")
        for trial in trials:
            _check_settings(f"a trial of {name!r}", trial, OF_TRIALS)
    counts = {name: len(spec["trials"]) for name, spec in grid.methods.items() if (spec or {}).get("trials")}
    if grid.tune is None:
        if counts:
            raise SistaError(f"{next(iter(counts))!r} has trials, but the grid has no `tune` that says how they are scored")
        return
    if (
        not isinstance(grid.tune, dict)
        or not isinstance(grid.tune.get("task"), dict)
        or not isinstance(shared := grid.tune.get("pretrain") or {}, dict)
    ):
        raise SistaError("tune must be a mapping with seeds, a task and, where trials differ from the rest, pretrain")
    for key in grid.tune:
        if key not in OF_TUNING:
            raise SistaError(f"tune has an unknown key {key!r}: {nearest(str(key), OF_TUNING)}")
    if not counts:
        raise SistaError("there is a `tune`, but no method has trials")
    if len(set(counts.values())) > 1:
        raise SistaError(f"methods have different numbers of trials ({counts}); give each as many")
    task = grid.tune["task"]
    if not grid.tune.get("seeds") or task.get("data") not in list(grid.corpora) or task.get("task") not in TUNABLE:
        raise SistaError(f"tune needs a list of seeds, and a task with `task` ({', '.join(TUNABLE)}), `data` (a corpus) and `metric`")
    check_seeds(grid.tune["seeds"], "the seeds of tune")
    _require_names("the task of tune", task)
    known, metric = TASKS[task["task"]][1], str(task.get("metric"))
    stems = {name.partition("/")[0] for name in known}  # of a finding, or, as grounding's always are, of a level
    if metric.partition("/")[0] not in stems or (task["task"] == "ground" and "/" not in metric):
        raise SistaError(f"tune has metric {metric!r}: {nearest(metric, known)}")
    if task.get("split") != "valid":
        raise SistaError("the tuning task must be scored on `split: valid`")
    for key, why in (("data", "trials are pre-trained on the grid's own pairs"), ("method", "it would be that of all trials")):
        if key in shared:
            raise SistaError(f"{why}; leave `{key}` out of tune's pretrain")
    _check_settings("tune's pretrain", shared, OF_PRETRAIN)
    if both := set(grid.tune["seeds"]) & set(grid.seeds):
        raise SistaError(f"tuning and comparing share seeds {sorted(both)}; tune on others")
    tried = replace(grid, pretrain=merged(grid.pretrain, shared))
    for name in counts:
        for encoder in grid.encoders:
            resolved = [_resolved(tried, encoder, name, trial) for trial in grid.methods[name]["trials"]]
            if any(one in resolved[:place] for place, one in enumerate(resolved)):
                raise SistaError(f"two trials of {name!r} come to the same settings")


def _resolved(grid: Grid, encoder: str, name: str, trial: Mapping[str, Any]) -> tuple[Any, ...]:
    """What a method, or a trial of it, comes to with an encoder: the method, all of its settings, teacher and optimizer.

    SistaError for a setting that the method does not have, and for a teacher that there is not or that the method cannot use.
    """
    from sista.methods import require_teacher, settings_of
    from sista.training.settings import OptimizerSettings

    under = merged(grid.pretrain, grid.encoders[encoder] or {})
    arguments = merged(merged(under, grid.methods[name] or {}), trial)
    method = arguments.get("method", name)
    teacher = arguments.get("teacher", "tfidf")
    if not str(teacher).startswith("hf:") and teacher not in TEACHERS:
        raise SistaError(f"{name!r} has teacher {teacher!r}: {nearest(str(teacher), [*TEACHERS, 'hf:MODEL'])}")
    require_teacher(method, teacher)
    defaults = {field.name: field.default for field in fields(OptimizerSettings)}
    optimizer = {**defaults, **arguments.get("optimizer", {})}  # a key that there is not is told with the arguments of the command
    settings = settings_of(method, dict(arguments.get("settings") or {}))
    if ":" not in str(method):  # a user's own may need what only its grid's encoders have
        _check_made(str(method), settings)
    return method, settings, teacher, optimizer


def _check_made(method: str, settings: Any) -> None:
    """SistaError for values that the method refuses when it is made, found on a small encoder before any corpus is built."""
    import torch

    from sista.methods import make_method

    if getattr(settings, "within_deepest", False):  # whether there is a deeper map is the grid's encoder's to say
        settings = replace(settings, within_deepest=False)
    with torch.random.fork_rng(devices=[]):
        make_method(method, _small_encoder(), lambda share: 1 - share, settings)


@cache
def _small_encoder() -> DualEncoder:
    from sista.models.dual_encoder import DualEncoder
    from sista.models.image_encoder import ImageEncoder
    from sista.models.text_encoder import TextEncoder

    return DualEncoder(ImageEncoder("sista_compact", image_size=32), TextEncoder("compact", vocabulary=8), dim=8)

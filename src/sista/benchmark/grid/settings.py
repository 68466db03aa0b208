"""What a grid holds: its names, and the keys that each of its parts may have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

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
OF_PRETRAIN = ("data", "settings", "teacher", "model", "optimizer", "augment", "run")
OF_ENCODERS = ("model", "optimizer")
OF_METHODS = ("method", "settings", "teacher", "model", "optimizer", "run", "data", "trials", "reference", "over")
GROUPS = ("model", "settings", "optimizer", "augment", "run")  # of these keys, those that hold settings by name
OF_TRIALS = ("method", "settings", "teacher", "optimizer")
OF_TUNING = ("seeds", "pretrain", "task")
TUNABLE = ("zeroshot", "retrieve", "ground")  # tasks that can be scored on a valid split, and of which more is better
Group = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Grid:
    """What is compared.

    name: of the whole. about: what it is for, in a sentence or two, for the page. corpora: name -> an archive and the arguments of its
    build, or `path: DIR`. pretrain: arguments of `sista pretrain` that all runs share; its `data` names a corpus. encoders: name -> `model`
    and `optimizer` settings. methods: name -> method, settings, teacher, model, optimizer, run, and `data` where it learns from another
    corpus than the rest; with `reference: true` a floor or ceiling, which is never called the best; with `over: NAME` its gains are stated
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

    def against(self, baseline: str) -> Grid:
        """The same grid, with the gains of all methods over this one, whatever they name."""
        methods = {name: {key: value for key, value in (spec or {}).items() if key != "over"} for name, spec in self.methods.items()}
        return replace(self, methods=methods, baseline=baseline)

    def over(self, method: str) -> str:
        """The method over which this one's gains are stated; "" without one."""
        other = str((self.methods[method] or {}).get("over", self.baseline))
        return "" if other == method else other

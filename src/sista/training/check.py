"""What a pre-training is asked for is checked before anything of it is written."""

from __future__ import annotations

import math
import os
import shutil
from dataclasses import asdict
from typing import Any

import numpy as np

from sista.corpus.corpus import Corpus
from sista.errors import SistaError
from sista.training.processes import Processes
from sista.training.settings import AugmentSettings, ModelSettings, OptimizerSettings, RunSettings

SHARES = {"positive_share": "theta_p", "negative_share": "theta_n"}  # cut-offs as shares of random corpus pairs, unless given outright


def check_optimizer(optimizer: OptimizerSettings) -> None:
    """SistaError for an optimizer that could not learn."""
    for name, value in asdict(optimizer).items():
        positive = name in ("batch_size", "accumulate", "learning_rate", "clip")
        if not 0 <= value < math.inf or (positive and value == 0):
            raise SistaError(f"optimizer.{name} is {value}; it must be {'above zero' if positive else '0 or more'}")
    if optimizer.batch_size < 2:
        raise SistaError("optimizer.batch_size is 1; a contrast needs at least 2 pairs")


def check_pairs(corpus: Corpus, optimizer: OptimizerSettings) -> None:
    """SistaError for a corpus that has no batch to learn from."""
    if not (corpus.has_reports and corpus.has_films):
        raise SistaError(
            f"corpus {corpus.path} has no {'films' if corpus.has_reports else 'reports'}; pre-training needs film-report pairs"
        )
    pairs = len(corpus.rows("train"))
    if pairs < 2:
        raise SistaError(
            f"corpus {corpus.path} has {pairs} training pair{'s' * (pairs != 1)}; a contrast needs at least 2, and many to learn from"
        )
    if pairs < optimizer.batch_size:
        raise SistaError(
            f"corpus {corpus.path} has {pairs} training pairs, fewer than one batch of {optimizer.batch_size}; "
            f"lower --optimizer.batch_size to at most {pairs}"
        )


def check_teacher(corpus: Corpus, teacher: str) -> None:
    """SistaError for the teacher of labels on a corpus that has none: what it would say is what `rules` says, by another name."""
    if teacher == "labels" and bool(np.isnan(corpus.labels(corpus.rows("train"))).all()):
        raise SistaError(f"teacher 'labels': no training report of corpus {corpus.path} has a label; 'rules' reads findings off the text")


def check_ranges(model: ModelSettings, optimizer: OptimizerSettings, augment: AugmentSettings, run: RunSettings, chosen: Any) -> None:
    """SistaError for a setting that is out of its range, before anything of the run is written."""
    for name, least in {"dim": 1, "hidden": 0, "patch_stride": 1, "image_size": 1, "patch_block": 0}.items():
        if (value := getattr(model, name)) is not None and value < least:
            raise SistaError(f"model.{name} is {value}; it must be at least {least}")
    if not 0 <= model.dropout < 1:
        raise SistaError(f"model.dropout is {model.dropout}; it is at least 0 and below 1")
    for name in ("shift", "scale", "rotation", "gamma", "contrast"):
        if not 0 <= (value := getattr(augment, name)) < (1 if name in ("scale", "contrast") else math.inf):
            raise SistaError(f"augment.{name} is {value}; it must be 0 or more{', and below 1' * (name in ('scale', 'contrast'))}")
    for name in ("warmup", "beta1", "beta2"):
        if not 0 <= (value := getattr(optimizer, name)) <= 1 or (value == 1 and name != "warmup"):
            what = "a share of the steps, 0 to 1" if name == "warmup" else "at least 0 and below 1"
            raise SistaError(f"optimizer.{name} is {value}; it is {what}")
    for name in ("seed", "checkpoint_every", "evaluate_every", "log_every", "evaluation_pairs"):
        if (value := getattr(run, name)) < 0:
            raise SistaError(f"run.{name} is {value}; it must be at least 0")
    if run.seed >= 2**63:
        raise SistaError(f"run.seed is {run.seed}; it must be below 2^63")
    if not 0 <= augment.shorten <= 1:
        raise SistaError(f"augment.shorten is {augment.shorten}; it is a share of the reports, 0 to 1")
    for name in SHARES:
        if not 0 <= (value := getattr(chosen, name, 0)) <= 1:
            raise SistaError(f"settings.{name} is {value}; it is a share of pairs, 0 to 1")


def check_shared(model: ModelSettings, optimizer: OptimizerSettings, processes: Processes) -> None:
    """SistaError for a batch that the processes cannot share, and for one of which a projection's batch norm would see one row alone."""
    if optimizer.batch_size % processes.world:
        raise SistaError(
            f"optimizer.batch_size {optimizer.batch_size} is that of all processes and cannot be shared by {processes.world}; "
            f"make it a multiple of {processes.world}"
        )
    rows = optimizer.batch_size // processes.world
    if model.hidden and 1 in (rows, optimizer.chunk, rows % optimizer.chunk if optimizer.chunk else 0):
        raise SistaError(
            f"model.hidden {model.hidden} has a batch norm, which needs 2 pairs at once, and a batch of {rows} a process in chunks of "
            f"{optimizer.chunk or rows} leaves one alone; choose another optimizer.chunk or batch_size, or model.hidden 0"
        )


def require_compiler() -> None:
    """`SistaError` unless torch.compile will find a C++ compiler."""
    wanted = os.environ.get("CXX") or "g++"
    if not (shutil.which(wanted) or shutil.which("clang++")):
        raise SistaError(f"run.compile needs a C++ compiler, and there is neither {wanted} nor clang++; install one, or leave it off")

"""Pre-train a dual encoder on a corpus: set up, fit, finish."""

from __future__ import annotations

import platform
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from sista import versions
from sista.corpus.alone import LOCK, alone
from sista.corpus.corpus import Corpus
from sista.corpus.disk import read_json, write_json
from sista.corpus.films.augmentation import eval_view
from sista.errors import SistaError
from sista.methods import make_method, require_teacher, settings_of
from sista.methods.method import Method
from sista.metrics.result import plain
from sista.models.checkpoint import save_pretrained
from sista.models.dual_encoder import DualEncoder
from sista.models.image_encoder import ImageEncoder
from sista.models.precision import autocast, choose_precision
from sista.models.text_encoder import SIZES, TextEncoder
from sista.objectives.instance_alignment import InstanceAlignment
from sista.training.batch_norms import synchronise
from sista.training.check import SHARES, check_optimizer, check_pairs, check_ranges, check_shared, check_teacher, require_compiler
from sista.training.fit import Fit, Plan
from sista.training.log import require_tensorboard
from sista.training.processes import join
from sista.training.settings import AugmentSettings, ModelSettings, OptimizerSettings, RunSettings
from sista.training.start import start_from
from sista.training.state import checkpoints

GROUPS = {"model": ModelSettings, "optimizer": OptimizerSettings, "augment": AugmentSettings, "run": RunSettings}
SHOWN = ("progress", "tensorboard")  # what a run may show differently when it goes on
MEAN_FILMS = 1024  # training films whose patches make the mean film


def pretrain(
    data: Path,
    out: Path,
    method: str = "sista",
    settings: dict[str, Any] | None = None,
    teacher: str = "tfidf",
    model: ModelSettings = ModelSettings(),  # noqa: B008  frozen
    optimizer: OptimizerSettings = OptimizerSettings(),  # noqa: B008
    augment: AugmentSettings = AugmentSettings(),  # noqa: B008
    run: RunSettings = RunSettings(),  # noqa: B008
) -> dict[str, Any]:
    """Pre-train an image and a text encoder on a corpus of film-report pairs.

    The same call goes on where an interrupted one stopped, and ends with the same weights. The checkpoint is `out/model`; `out/log.csv`
    has the losses and what the objective did to the pairs; `out/summary.json` is what this function returns. `out/run.json` states the
    arguments, and for each share of pairs in the method's settings (`negative_share`) the similarity that is its cut-off and the share of
    random pairs that truly reaches it: more where many reports are alike, as normal ones are.

    Under torchrun the processes share each batch: loss and gradients are those of the whole batch on one device (docs/scaling.md). Only the
    first process writes and evaluates, and has something to return.

    Args:
        data: a corpus, as `sista build` writes it.
        out: a new folder, or that of the same run interrupted.
        method: how films and reports are aligned; `sista methods` lists them.
        settings: the method's own settings; `sista methods NAME` lists them.
        teacher: whose report similarity decides which pairs are no negatives: tfidf, rules, hf:NAME (from the reports alone), or labels and
            oracle, which let the corpus' labels or truth into pre-training: not for encoders that are then probed with few of these.
        model: the encoders.
        optimizer: AdamW and its schedule.
        augment: what is done to films and reports at each step.
        run: where and how often.
    """
    data, out = Path(data), Path(out)
    model = replace(model, start=None if model.start is None else str(model.start))
    chosen = settings_of(method, settings or {})
    require_teacher(method, teacher)
    corpus = Corpus.open(data)
    check_optimizer(optimizer)
    check_pairs(corpus, optimizer)
    check_teacher(corpus, teacher)
    check_ranges(model, optimizer, augment, run, chosen)
    if run.compile:
        require_compiler()
    if run.tensorboard:
        require_tensorboard()
    configuration = {
        "corpus": corpus.fingerprint,
        "method": method,
        "settings": plain(chosen),
        "teacher": teacher,
        "model": asdict(model),
        "optimizer": asdict(optimizer),
        "augment": asdict(augment),
        "run": asdict(run),
    }
    with join(run.device) as (processes, device), ExitStack() as stack:
        check_shared(model, optimizer, processes)
        earlier = processes.from_first(lambda: _earlier(out, configuration, plain(settings_of(method, {}))))
        if earlier.get("finished"):
            return _finished(out) if processes.first else {}
        precision = processes.from_first(lambda: earlier.get("precision") or choose_precision(run.precision, device))
        taught = processes.in_turn(lambda: corpus.teacher(teacher))
        shares = {share for name, given in SHARES.items() if (share := getattr(chosen, name, 0)) and not getattr(chosen, given, 0)}
        cut_offs = {f"{share:g}": {"similarity": taught(share), "share": taught.realised[share]} for share in sorted(shares)}
        torch.manual_seed(run.seed)
        image_size = model.image_size or corpus.size
        encoder = make_encoder(corpus, model, image_size)
        if model.start and not processes.from_first(lambda: bool(checkpoints(out / "checkpoints"))):  # else it goes on from there
            start_from(encoder, model.start, corpus)
        learner = make_method(method, encoder, taught, chosen).to(device)
        encoder.image.to(memory_format=torch.channels_last)
        learner.encoder = encoder = synchronise(encoder, device, processes.world)
        if run.compile:
            encoder.compile_encoders()
        steps = _steps(corpus, optimizer)
        processes.from_first(lambda: stack.enter_context(alone(out, "sista pretrain")))
        if processes.first:
            stated = {**configuration, "cut_offs": cut_offs, "precision": precision, "steps": steps, "versions": versions()}
            write_json(out / "run.json", stated)

        plan = Plan(out, steps, teacher, image_size, precision, device, optimizer, augment, run, model.checkpointing)
        fit = Fit(corpus, learner, plan, processes)
        last = fit.run()
        summary = {}
        if processes.first:
            measure_mean_patches(encoder, corpus, precision, device)
            if not bool(torch.isfinite(encoder.mean_patches).all()):
                raise SistaError(f"{out}: patches of training films are not finite after the last step; lower --optimizer.learning_rate")
            summary = _finish(corpus, learner, method, plan, last, fit.seconds, processes.world)
        processes.wait()
        return summary


def make_encoder(corpus: Corpus, model: ModelSettings, image_size: int) -> DualEncoder:
    """The dual encoder of `model` for a corpus' tokenizer, with fresh, timm's or transformers' weights."""
    image = ImageEncoder(
        model.image_encoder,
        image_size=image_size,
        pretrained=model.pretrained,
        patch_stride=model.patch_stride,
        patch_block=model.patch_block,
    )
    text = TextEncoder(model.text_encoder, vocabulary=len(corpus.tokenizer), pooling=model.text_pooling, dropout=model.dropout)
    if model.text_encoder not in SIZES:
        corpus.require_tokenizer(model.text_encoder)
    if text.longest < corpus.max_pieces:
        raise SistaError(
            f"text encoder {model.text_encoder!r} takes {text.longest} pieces; corpus {corpus.path} was built with {corpus.max_pieces}"
        )
    encoder = DualEncoder(image, text, dim=model.dim, hidden=model.hidden)
    if model.checkpointing:
        encoder.checkpoint_activations()
    return encoder


@torch.inference_mode()
def measure_mean_patches(encoder: DualEncoder, corpus: Corpus, precision: str, device: torch.device) -> None:
    """Put the mean patch vector at each place, over the first training films, into `encoder.mean_patches`."""
    encoder.eval()
    rows = corpus.rows("train")[:MEAN_FILMS]
    total = torch.zeros_like(encoder.mean_patches)
    for start in range(0, len(rows), 128):
        images = eval_view(corpus.films(rows[start : start + 128]).to(device), encoder.image.image_size)
        with autocast(precision, device):
            _, patches, grid = encoder.encode_images(images.contiguous(memory_format=torch.channels_last))
        total += patches.float().sum(0).view(*grid, -1)
    encoder.mean_patches.copy_(total / len(rows))


def _steps(corpus: Corpus, optimizer: OptimizerSettings) -> int:
    batches = optimizer.epochs * (len(corpus.rows("train")) // optimizer.batch_size)
    return max(1, round(batches / optimizer.accumulate)) if optimizer.epochs else 0


def _earlier(out: Path, configuration: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """What an earlier, equal call had settled in `out`; refuses a folder with anything else in it. defaults: of the method's settings."""
    file = out / "run.json"
    if not file.is_file():
        if out.exists() and (not out.is_dir() or any(one.name != LOCK for one in out.iterdir())):
            raise SistaError(f"{out} is not empty and holds no sista run; choose a new --out")
        return {}
    earlier = read_json(file)
    for name, group in GROUPS.items():  # a run of an earlier version may lack settings that have come since
        earlier[name] = {**asdict(group()), **earlier.get(name, {})}
    earlier["settings"] = {**defaults, **earlier.get("settings", {})}
    if changed := _differences(configuration, earlier):
        raise SistaError(
            f"{out} holds a run with other settings ({'; '.join(changed[:5])}); choose a new --out, or give the same settings to go on"
        )
    return {**earlier, "finished": (out / "summary.json").is_file()}


def _finished(out: Path) -> dict[str, Any]:
    """The summary of a finished run, whose model must be there."""
    if not (out / "model" / "config.json").is_file():
        raise SistaError(
            f"{out} holds a finished run without its model/; remove {out / 'summary.json'} to have it written from the checkpoint"
        )
    return read_json(out / "summary.json")


def _differences(ours: dict[str, Any], theirs: dict[str, Any], prefix: str = "") -> list[str]:
    changed = []
    for key, value in ours.items():
        other = theirs.get(key)
        if isinstance(value, dict) and isinstance(other, dict):
            changed += _differences(value, {**dict.fromkeys(value), **other}, f"{prefix}{key}.")
        elif value != other and key not in SHOWN:
            changed.append(f"{prefix}{key}: {other} there, {value} here")
    return changed


def _temperature(learner: Method) -> float:
    """Of a method that has not taken a step; one without an instance term is scored at CLIP's."""
    instance = getattr(learner, "instance", None)
    return float(instance.temperature.detach()) if isinstance(instance, InstanceAlignment) else 0.07


def _finish(corpus: Corpus, learner: Method, method: str, plan: Plan, last: dict[str, float], seconds: float, world: int) -> dict[str, Any]:
    card = {
        "method": method,
        "settings": asdict(learner.settings),
        "teacher": plan.teacher,
        "temperature": last.get("temperature", _temperature(learner)),
        "corpus": corpus.fingerprint,
        "label_names": list(corpus.label_names),
        "max_pieces": corpus.max_pieces,
        "films": {name: corpus.facts[name] for name in ("display", "crop_borders") if name in corpus.facts},
        "steps": plan.steps,
        "versions": versions(),
    }
    corpus.tokenizer.save(plan.out / "model")
    save_pretrained(plan.out / "model", learner.encoder, card)
    pairs = plan.steps * plan.pairs
    summary = {
        "checkpoint": str(plan.out / "model"),
        "method": method,
        "steps": plan.steps,
        "pairs": pairs,
        "seconds": round(seconds, 2),
        "pairs_per_second": round(pairs / max(seconds, 1e-9), 1),
        "last": last,
        "precision": plan.precision,
        "device": str(plan.device),
        "processes": world,
        "machine": {"processor": platform.machine(), "threads": torch.get_num_threads()},
        "versions": versions(),
    }
    write_json(plan.out / "summary.json", summary)
    return summary

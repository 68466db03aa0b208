"""Does a token term look at the film? Its loss on the right film, a wrong one and the mean film; and whose a word's map is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sista import versions
from sista.corpus.batch import Batch
from sista.corpus.corpus import Corpus
from sista.corpus.disk import read_json
from sista.corpus.films.augmentation import eval_view
from sista.errors import SistaError
from sista.methods.method import Method
from sista.metrics.result import encoder_hash, plain, require_folder, splits_of, write_run
from sista.models.dual_encoder import DualEncoder
from sista.models.embeddings import Embeddings
from sista.models.precision import autocast, choose_device
from sista.training.restored import restore

FILMS = ("right", "wrong", "mean")
PATCHES = ("patches", "deepest")  # of `Embeddings`
LEAST_WORDS = 10  # occurrences from which a word type has a mean map worth the name


def controls(
    model: Path,
    data: Path,
    split: str = "test",
    device: str = "auto",
    out: Path | None = None,
) -> dict[str, Any]:
    """Look at what the token terms of a finished pre-training have learnt, on pairs that it did not see.

    Every term is computed three times over the same batches, with the same words and draws: with each report's own patches (`TERM/right`),
    with those of another subject's film (`TERM/wrong`), and with the mean patches of the split at each place (`TERM/mean`). A term
    that is as low on the wrong film as on the right one has been solved without the film. A contrast across films has nothing to go by on
    the mean film, which is then the same for all: there `TERM/mean` is its chance level, and only a contrast within a report can be lower.
    Terms that take no patches are left out.

    `position_share` is of the maps of informative words, w . p over patches, each centred: the share of their variance that the word's
    type and the place alone account for, whatever the film shows (unbiased, types of at least 10 occurrences). At 1 each word has a
    place of its own; at 0 nothing but the film moves the map.

    Args:
        model: a folder of `sista pretrain`, with its checkpoint.
        data: the corpus that it was trained on.
        split: which part of it: test or valid.
        device: auto, cpu, cuda or cuda:N.
        out: a folder for result.json and predictions.parquet (a row for each batch).
    """
    if split == "train":
        raise SistaError("split 'train' is what the terms were trained on, right films and all; choose test or valid")
    arguments = dict(locals())
    require_folder(out, "controls", arguments)
    model, corpus, chosen = Path(model), Corpus.open(data), choose_device(device)
    method, stated = restore(model, corpus).to(chosen), read_json(model / "run.json")
    if getattr(method.settings, "wrong_films", False):
        method.settings = replace(method.settings, wrong_films=False)  # a run trained on wrong films is asked about right ones, too
    rows, size = one_of_each_subject(corpus, corpus.rows(split)), stated["optimizer"]["batch_size"]
    if len(rows) < 2 * size:
        raise SistaError(f"corpus {corpus.path} has {len(rows)} subjects in split {split!r}; two batches of {size} are needed")
    looks = _Looks(method, corpus, stated["teacher"], chosen, stated["precision"], rows[: len(rows) // size * size].reshape(-1, size))
    means, share = looks.means_and_share()
    losses = looks.losses(means)
    looking = looks.looking()
    rested = {name: values for name, values in losses.items() if name in looking or _differ(values)}
    metrics: dict[str, Any] = {}
    for name, (right, wrong, average) in rested.items():
        metrics |= {f"{name}/{film}": float(np.nanmean(values)) for film, values in zip(FILMS, losses[name], strict=True)}
        metrics |= {f"{name}/wrong_gap": float(np.nanmean(wrong - right)), f"{name}/mean_gap": float(np.nanmean(average - right))}
    metrics["position_share"] = share
    result = {
        **looks.facts(model, split, arguments),
        "terms": sorted(rested),
        "batches": len(looks.rows),
        "batch_size": size,
        "metrics": metrics,
    }
    if out is not None:
        values = {f"value/{name}/{film}": losses[name][i] for name in rested for i, film in enumerate(FILMS)}
        write_run(out, result, {**looks.ids(), **values})
    return result


def _differ(values: np.ndarray) -> bool:
    """Whether a term is another on other films."""
    return not np.allclose(values[0], values[1:], rtol=1e-6, atol=1e-7, equal_nan=True)


def one_of_each_subject(corpus: Corpus, rows: np.ndarray) -> np.ndarray:
    """The first of `rows` of each subject, in an order by chance (the same each time): no two neighbours are films of one subject."""
    _, first = np.unique(corpus.values("subject_id", rows), return_index=True)
    return np.random.default_rng(0).permutation(rows[np.sort(first)])


@contextmanager
def patches_of(encoder: DualEncoder, change: Callable[[str, Tensor], Tensor]) -> Iterator[None]:
    """Within it, what methods get from `encoder` has other `patches` [B,P,D], and `deepest` [B,Q,D] if any, than the films'."""

    def hook(_: torch.nn.Module, __: Any, found: Embeddings) -> Embeddings:
        deepest = None if found.deepest is None else change("deepest", found.deepest)
        return replace(found, patches=change("patches", found.patches), deepest=deepest)

    handle = encoder.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


@dataclass
class MapVariance:
    """Where the variance of words' maps comes from: sums over each word type's maps [P] and their squares."""

    sums: dict[int, Tensor] = field(default_factory=dict)
    squares: dict[int, float] = field(default_factory=dict)
    counts: dict[int, int] = field(default_factory=dict)

    def add(self, types: Tensor, maps: Tensor) -> None:
        """Maps [N,P] of words of these types [N]."""
        centred = (maps - maps.mean(dim=1, keepdim=True)).double().cpu()
        for kind in types.unique().tolist():
            some = centred[types.cpu() == kind]
            self.sums[kind] = self.sums.get(kind, torch.zeros(some.shape[1], dtype=torch.float64)) + some.sum(dim=0)
            self.squares[kind] = self.squares.get(kind, 0.0) + float(some.square().sum())
            self.counts[kind] = self.counts.get(kind, 0) + len(some)

    def share_of_types(self, least: int = LEAST_WORDS) -> float:
        """Variance between the types' mean maps over all variance, both unbiased and weighted by occurrences; NaN without such a type."""
        between = total = 0.0
        for kind, count in self.counts.items():
            if count < least:
                continue
            of_mean = float(self.sums[kind].square().sum()) / count**2
            within = (self.squares[kind] - count * of_mean) / (count - 1)
            between += count * (of_mean - within / count)
            total += count * (of_mean - within / count + within)
        return between / total if total > 0 else float("nan")


class _Looks:
    """A method over the batches of a split."""

    def __init__(self, method: Method, corpus: Corpus, teacher: str, device: torch.device, precision: str, rows: np.ndarray) -> None:
        self.method, self.corpus, self.teacher = method, corpus, teacher
        self.device, self.precision, self.rows = device, precision, rows

    def batches(self) -> Iterator[tuple[Batch, Tensor]]:
        for rows in self.rows:
            batch = self.corpus.batch(rows, teacher=self.teacher).to(self.device)
            images = eval_view(batch.images, self.method.encoder.image.image_size)
            yield batch, images.contiguous(memory_format=torch.channels_last)

    @torch.inference_mode()
    def means_and_share(self) -> tuple[dict[str, Tensor], float]:
        """The mean patches [P,D] of all films by name, and `MapVariance.share_of_types` of the informative words."""
        totals, variance = dict[str, Tensor](), MapVariance()
        for batch, images in self.batches():
            with autocast(self.precision, self.device):
                texts = (batch.pieces, batch.piece_mask, batch.piece_word, batch.word_mask)
                found = self.method.encoder(images, *texts, self.method.deepest_head)
            for name in PATCHES:
                if (held := getattr(found, name)) is not None:
                    totals[name] = totals.get(name, torch.zeros_like(held[0].float())) + held.float().mean(dim=0)
            told = batch.word_mask & (batch.word_weight > 0)
            variance.add(batch.word_type[told], torch.einsum("bld,bpd->blp", found.words.float(), found.patches.float())[told])
        means = {name: torch.nn.functional.normalize(total, dim=-1) for name, total in totals.items()}
        return means, variance.share_of_types()

    def looking(self) -> set[str]:
        """The terms of the first batch whose gradient reaches the patches, whether or not they are another with other patches."""
        taken = list[Tensor]()

        def leaf(_: str, patches: Tensor) -> Tensor:
            taken.append(patches.detach().requires_grad_())
            return taken[-1]

        batch, images = next(self.batches())
        generator = torch.Generator(self.device).manual_seed(0)
        with torch.enable_grad(), autocast(self.precision, self.device), patches_of(self.method.encoder, leaf):
            terms = self.method(batch, images, generator).terms
        if not taken:
            return set()
        trained = {name: term for name, term in terms.items() if term.requires_grad}
        reached = {name: torch.autograd.grad(term, taken, retain_graph=True, allow_unused=True) for name, term in trained.items()}
        return {name for name, gradients in reached.items() if any(gradient is not None for gradient in gradients)}

    @torch.inference_mode()
    def losses(self, means: dict[str, Tensor]) -> dict[str, np.ndarray]:
        """Each term [3 films, batches] of `StepResult.terms`; NaN where a batch lacks it."""
        changes: dict[str, Callable[[str, Tensor], Tensor]] = {
            "right": lambda _, patches: patches,
            "wrong": lambda _, patches: patches.roll(1, dims=0),
            "mean": lambda name, patches: means[name].to(patches.dtype).expand_as(patches),
        }
        found: dict[str, np.ndarray] = {}
        for number, (batch, images) in enumerate(self.batches()):
            for film, name in enumerate(FILMS):
                generator = torch.Generator(self.device).manual_seed(number)
                with autocast(self.precision, self.device), patches_of(self.method.encoder, changes[name]):
                    terms = self.method(batch, images, generator).terms
                for term, value in terms.items():
                    found.setdefault(term, np.full((len(FILMS), len(self.rows)), np.nan))[film, number] = float(value)
        return found

    def ids(self) -> dict[str, Any]:
        """Batches as rows: the first pair of each stands for it."""
        return {name: self.corpus.values(name, self.rows[:, 0]) for name in ("study_id", "film_id", "subject_id", "split")}

    def facts(self, model: Path, split: str, arguments: dict[str, Any]) -> dict[str, Any]:
        rows = self.rows.reshape(-1)
        return {
            "task": "controls",
            "model": str(model),
            "data": self.corpus.fingerprint,
            "protocol": None,
            "split": split,
            "splits": splits_of(self.corpus.values("film_id", rows), [split] * len(rows)),
            "encoder": {"sha256": encoder_hash(model)},
            "image_size": self.method.encoder.image.image_size,
            "seed": None,
            "versions": versions(),
            "arguments": plain(arguments),
        }

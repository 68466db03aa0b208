"""An encoder trained along with its linear head, deeper layers at larger rates, stopped early by the validation loss."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sista.corpus.corpus import Corpus
from sista.corpus.films.augmentation import Ranges, augment, eval_view
from sista.errors import SistaError
from sista.models.image_encoder import ImageEncoder
from sista.models.precision import autocast
from sista.transfer.classify_head import epoch_batches, masked_loss, refuse_unlearnable, require_rates

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class TuneSettings:
    """AdamW with a linear warm-up and half a cosine; the epoch with the least validation loss is kept.

    Args:
        learning_rate: peak rate of the head; layers below have `layer_decay` times the rate of the layer above.
        layer_decay: 1 gives every layer the same rate (BEiT and MAE tune with 0.65 to 0.75).
        weight_decay: on weights of two and more dimensions; biases and norms have none.
        batch_size: films a step.
        epochs: at most so many passes.
        warmup: share of the steps until the peak.
        patience: epochs without a better validation loss until it stops.
        clip: largest norm of the whole gradient.
        views: how far training films are moved; never flipped.
    """

    learning_rate: float = 1e-3
    layer_decay: float = 0.75
    weight_decay: float = 0.05
    batch_size: int = 32
    epochs: int = 20
    warmup: float = 0.1
    patience: int = 5
    clip: float = 1.0
    views: Ranges = field(default_factory=Ranges)


# of BenchX's settings for MGCA on NIH (its released configuration) the rate, one for all layers, and the batch; it warms up in 50 steps of
# 3,000, and stops by AUROC
TUNES = {"benchx": TuneSettings(learning_rate=1e-5, layer_decay=1.0, weight_decay=0.0, batch_size=32, warmup=0.01)}


@dataclass(frozen=True)
class Tuned:
    """The tuned encoder with its head, in evaluation mode; validation loss and mean training loss of each epoch; the epoch kept, from 0."""

    encoder: ImageEncoder
    head: nn.Linear
    validation: tuple[float, ...]
    training: tuple[float, ...]
    best_epoch: int

    def scores(self, corpus: Corpus, rows: NDArray[np.int64], device: torch.device, precision: str) -> Floats:
        """Logits [n,k] of the films of `rows`."""
        return _logits(self.encoder, self.head, corpus, rows, device, precision).double().numpy()


def fine_tune(
    encoder: ImageEncoder,
    corpus: Corpus,
    rows: NDArray[np.int64],
    labels: Floats,
    valid_rows: NDArray[np.int64],
    valid_labels: Floats,
    settings: TuneSettings,
    softmax: bool = False,
    seed: int = 0,
    device: torch.device = torch.device("cpu"),  # noqa: B008
    precision: str = "fp32",
) -> Tuned:
    """Tune a copy of `encoder` on the films of `rows` and their labels [n,k] (NaN: not in the loss); the given one stays as it is."""
    refuse_unlearnable(labels, valid_labels)
    if not 0 < settings.layer_decay <= 1 or settings.epochs < 1 or settings.batch_size < 2:
        raise SistaError(
            f"layer_decay {settings.layer_decay}, epochs {settings.epochs}, batch_size {settings.batch_size}: "
            "expected 0 < layer_decay <= 1, an epoch or more, and at least 2 films a step, since batch norm compares films"
        )
    if settings.patience < 1 or not 0 <= settings.warmup <= 1:
        raise SistaError(f"patience {settings.patience}, warmup {settings.warmup:g}: expected an epoch or more, and a share from 0 to 1")
    require_rates("tune", settings.learning_rate, settings.weight_decay, settings.clip)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        own = copy.deepcopy(encoder).to(device)
        head = nn.Linear(own.width, labels.shape[1]).to(device)
        optimizer = torch.optim.AdamW(parameter_groups(own, head, settings), lr=settings.learning_rate)
        steps = settings.epochs * math.ceil(len(rows) / settings.batch_size)
        rate = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _schedule(step, steps, settings.warmup))
        generator = torch.Generator().manual_seed(seed)
        truth, valid_truth = torch.from_numpy(labels).float(), torch.from_numpy(valid_labels).float()
        validation, training, best, kept = list[float](), list[float](), -1, (own.state_dict(), head.state_dict())
        for epoch in range(settings.epochs):
            own.train()
            losses = []
            for positions in epoch_batches(len(rows), settings.batch_size, seed, epoch):
                if len(positions) == 1 and len(rows) > 1:  # batch norm has nothing to compare a single film with
                    continue
                images = augment(corpus.films(rows[positions]).to(device), own.image_size, settings.views, generator)
                with autocast(precision, device):
                    logits = head(own.pooled(images))
                loss = masked_loss(logits.float(), truth[torch.from_numpy(positions)].to(device), softmax)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                nn.utils.clip_grad_norm_([*own.parameters(), *head.parameters()], settings.clip)
                optimizer.step()
                rate.step()
                losses.append(float(loss.detach()))
            training.append(float(np.mean(losses)))
            validation.append(float(masked_loss(_logits(own, head, corpus, valid_rows, device, precision), valid_truth, softmax)))
            if not math.isfinite(validation[-1]):
                raise SistaError(f"the validation loss is {validation[-1]} in epoch {epoch + 1}; lower tune.learning_rate")
            if best < 0 or validation[-1] < validation[best]:
                best, kept = epoch, copy.deepcopy((own.state_dict(), head.state_dict()))
            if epoch - best >= settings.patience:
                break
    own.load_state_dict(kept[0])
    head.load_state_dict(kept[1])
    return Tuned(own.eval(), head.eval(), tuple(validation), tuple(training), best)


def parameter_groups(encoder: ImageEncoder, head: nn.Module, settings: TuneSettings) -> list[dict[str, object]]:
    """Groups for the optimiser: rate = learning_rate x layer_decay ** (layers between the parameter and the head), the head's being 0."""
    depths = layer_depths(encoder.model)
    last = max(depths.values(), default=-1) + 1
    groups: dict[tuple[int, bool], list[nn.Parameter]] = {}
    for name, parameter in [*encoder.model.named_parameters(), *head.named_parameters(prefix="head ")]:
        if parameter.requires_grad:
            groups.setdefault((depths.get(name, last), parameter.ndim >= 2), []).append(parameter)
    return [
        {
            "params": parameters,
            "lr": settings.learning_rate * settings.layer_decay ** (last - depth),
            "weight_decay": settings.weight_decay if decayed else 0.0,
        }
        for (depth, decayed), parameters in sorted(groups.items(), key=lambda item: item[0])
    ]


def layer_depths(model: nn.Module) -> dict[str, int]:
    """Parameter name -> number of its layer, 0 nearest to the film: as timm groups them, or the order of the modules where it does not."""
    matcher: Any = getattr(model, "group_matcher", None)
    if matcher is not None:
        from timm.models import group_parameters

        return dict(group_parameters(model, matcher(coarse=False), reverse=True))
    units = [
        f"{name}.{part}." if isinstance(child, nn.Sequential) else f"{name}."
        for name, child in model.named_children()
        for part in (dict(child.named_children()) if isinstance(child, nn.Sequential) else ("",))
    ]
    return {name: next((depth for depth, unit in enumerate(units) if name.startswith(unit)), 0) for name, _ in model.named_parameters()}


@torch.inference_mode()
def _logits(
    encoder: ImageEncoder, head: nn.Module, corpus: Corpus, rows: NDArray[np.int64], device: torch.device, precision: str
) -> Tensor:
    encoder.eval()
    parts = []
    for images in film_views(corpus, rows, encoder.image_size):
        with autocast(precision, device):
            parts.append(head(encoder.pooled(images.to(device))).float().cpu())
    return torch.cat(parts)


def film_views(corpus: Corpus, rows: NDArray[np.int64], size: int, batch: int = 64) -> Iterator[Tensor]:
    """Films [b,1,size,size] of the given rows in order, nothing random."""
    for start in range(0, len(rows), batch):
        yield eval_view(corpus.films(rows[start : start + batch]), size)


def _schedule(step: int, steps: int, warmup: float) -> float:
    rising = max(1, round(warmup * steps))
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - rising) / max(1, steps - rising))))

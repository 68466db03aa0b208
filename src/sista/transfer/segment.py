"""A segmenter on the maps of a frozen or tuned encoder, from a share of the drawn regions."""

from __future__ import annotations

import copy
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from sista.corpus.corpus import Corpus
from sista.errors import SistaError
from sista.metrics.result import plain, require_folder, write_run
from sista.models.backbone import open_backbone
from sista.models.image_encoder import ImageEncoder
from sista.models.precision import Precision, autocast, choose_device, choose_precision
from sista.transfer.decoders import Segmenter, choose_decoder
from sista.transfer.protocol import protocol_facts
from sista.transfer.result import libraries, segmentation_columns, share_name, transfer_facts
from sista.transfer.segment_fit import FitSettings, Fitted, fit
from sista.transfer.segment_scores import Floats, dice_on_positives, finding_scores, macro_dice, pixel_counts, validation_score
from sista.transfer.segment_targets import Annotated, annotated, pixel_shares, region_masks, training_positions
from sista.transfer.segment_views import ViewSettings, film_view, mask_view, random_affine, random_tone
from sista.transfer.shares import describe_share, head_seed, share_plan, training_share, validation_positions


def segment(
    model: str,
    data: Path,
    findings: list[str] | None = None,
    shares: list[float] | None = None,
    draws: list[int] | None = None,
    decoder: str = "auto",
    tune: bool = False,
    image_size: int | None = None,
    negatives: float | None = None,
    fit: FitSettings = FitSettings(),  # noqa: B008  frozen
    views: ViewSettings = ViewSettings(),  # noqa: B008
    validation_films: int = 1000,
    protocol_batch: int = 16,
    protocol: str | None = None,
    untrained: bool = False,
    seed: int = 0,
    device: str = "auto",
    precision: Precision = "auto",
    out: Path | None = None,
) -> dict[str, Any]:
    """Train a segmenter on the maps of an encoder with 1, 10 and 100 % of the drawn regions; Dice on the test split.

    The epoch is picked on the valid split by the Dice of all its pixels together; the test split chooses nothing. The protocol's Dice
    stands beside that on films with a finding, with what predicting nothing would score. Maps start nearly empty, at the share of the
    pixels that a finding covers where it is shown (Lin et al., ICCV 2017), for which the protocol does not ask: from few masks a head may
    otherwise lose a finding.

    Args:
        model: a pre-trained run or checkpoint, a timm name (timm:resnet50), or FILE@ARCHITECTURE with somebody else's weights.
        data: a corpus with regions (masks, or boxes, which are filled) and the splits train, valid and test.
        findings: the findings to segment, one map each; by default all that have regions.
        shares: shares of the training subjects whose regions are used; by default 0.01, 0.1 and 1.
        draws: how many draws of each share are averaged; by default 1 each.
        decoder: unet, progressive (SETR-PUP) or dpt; auto is unet for hierarchical encoders and progressive for plain transformers.
        tune: train the encoder too, at a smaller rate; otherwise it stays as it is, batch norm included.
        image_size: side of the films in pixels; by default that of the run, 224 with weights from elsewhere.
        negatives: at most so many training films without a region for each with one (SIIM's protocol: 1); by default all.
        fit: optimiser, schedule and early stopping.
        views: how training films and their masks are moved together.
        validation_films: at most so many films of the valid split pick the epoch.
        protocol_batch: films a batch in the protocol's average of averages (16 for RSNA, 8 for SIIM).
        protocol: the published protocol that the corpus was split by; its sizes, known defects and published scores then stand beside.
        untrained: the same architecture with fresh weights instead, as a floor.
        seed: of the draws, the head, the order of the films, and fresh weights.
        device: auto, cpu, cuda or cuda:N.
        precision: auto, bf16 or fp32.
        out: a folder for result.json and predictions.parquet (pixel counts of every test film and finding).
    """
    arguments = dict(locals())
    require_folder(out, "segment", arguments)
    begin = time.perf_counter()
    shares, draws = share_plan(shares, draws, seed)
    if protocol_batch < 1:
        raise SistaError(f"--protocol-batch is {protocol_batch}; it must be 1 or more")
    corpus = Corpus.open(data)
    films = annotated(corpus, findings)
    beside = protocol_facts(protocol, {split: len(films.of(split)) for split in ("train", "valid", "test")}, corpus)
    chosen = choose_device(device)
    backbone = open_backbone(model, image_size=image_size, untrained=untrained, seed=seed)
    choose_decoder(decoder, backbone.encoder)
    work = Segmentation(corpus, films, backbone.encoder, decoder, tune, fit, views, chosen, choose_precision(precision, chosen))
    test = films.of("test")
    valid = validation_positions(films, validation_films, seed)
    per_share, refused = dict[str, Any](), dict[str, str]()
    counted: list[tuple[float, int, Floats]] = []
    for share, count in zip(shares, draws, strict=True):
        try:
            counts, fitted = [], []
            for draw in range(count):
                part = training_share(films, share, draw, seed)
                used = training_positions(films, films.of("train")[part.rows], negatives, (seed, draw))
                segmenter, history = work.train(used, valid, seed=head_seed(seed, draw))
                counts.append(work.counts(segmenter, test))
                fitted.append({**describe_share(films, part, used), **history.as_dict()})
        except SistaError as error:
            refused[share_name(share)] = str(error)
            continue
        counted += [(share, draw, one) for draw, one in enumerate(counts)]
        per_share[share_name(share)] = {
            "dice": macro_dice(np.stack(counts), films.subjects[test]),
            "findings": {
                name: finding_scores(np.stack(counts)[:, :, column], corpus.size**2, films.subjects[test], protocol_batch)
                for column, name in enumerate(films.findings)
            },
            "draws": fitted,
        }
    if not per_share:
        raise SistaError(next(iter(refused.values())))
    result = {
        **transfer_facts("segment", model, backbone, corpus, films.rows, films.splits),
        **beside,
        "films": {**{split: len(films.of(split)) for split in ("train", "valid", "test")}, "left_out": films.left_out},
        "findings": list(films.findings),
        "decoder": choose_decoder(decoder, backbone.encoder),
        "tune": tune,
        "seed": seed,
        "metrics": {f"dice@{name}": share["dice"] for name, share in per_share.items()},
        "per_share": per_share,
        "refused": refused,
        "seconds": round(time.perf_counter() - begin, 1),
        "arguments": plain(arguments),
    }
    result["versions"] |= libraries("segmentation-models-pytorch")
    if out is not None:
        dice = [dice_on_positives(one) for _, _, one in counted]
        write_run(out, result, segmentation_columns(corpus, films.rows[test], films.findings, counted, dice))
    return result


class Segmentation:
    """What stays the same from share to share: films, masks, encoder and settings."""

    def __init__(
        self,
        corpus: Corpus,
        films: Annotated,
        encoder: ImageEncoder,
        decoder: str,
        tune: bool,
        settings: FitSettings,
        views: ViewSettings,
        device: torch.device,
        precision: str,
    ) -> None:
        self.corpus, self.films, self.encoder, self.decoder, self.tune = corpus, films, encoder, decoder, tune
        self.settings, self.views, self.device, self.precision = settings, views, device, precision

    def train(self, positions: np.ndarray, valid: np.ndarray, seed: int) -> tuple[Segmenter, Fitted]:
        """A segmenter trained on the films at `positions`, its best epoch on those at `valid`."""
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(seed)
            encoder = copy.deepcopy(self.encoder) if self.tune else self.encoder
            segmenter = Segmenter(encoder, len(self.films.findings), self.decoder, tune=self.tune, precision=self.precision)
            segmenter.start_at(pixel_shares(self.corpus, self.films.rows[positions], self.films.findings))
            segmenter.to(self.device).to(memory_format=torch.channels_last)

            def read(some: np.ndarray, step: int) -> tuple[Tensor, Tensor]:
                generator = torch.Generator().manual_seed(seed * 1_000_003 + step)
                affine, tone = random_affine(len(some), self.views, generator), random_tone(len(some), self.views, generator)
                rows, size = self.films.rows[some], self.encoder.image_size
                masks = mask_view(region_masks(self.corpus, rows, self.films.findings), size, affine)
                return film_view(self.corpus.films(rows), size, affine, tone), masks

            def loss_of(batch: tuple[Tensor, Tensor]) -> Tensor:
                return dice_focal_loss(self._logits(segmenter, batch[0]), batch[1].to(self.device))

            history = fit(segmenter, positions, read, loss_of, lambda: validation_score(self.counts(segmenter, valid)), self.settings, seed)
        return segmenter, history

    @torch.inference_mode()
    def counts(self, segmenter: Segmenter, positions: np.ndarray) -> Floats:
        """`pixel_counts` [n,K,3] of the films at `positions`, on the corpus' own square."""
        parts = []
        for start in range(0, len(positions), 32):
            rows = self.films.rows[positions[start : start + 32]]
            probability = self._logits(segmenter, film_view(self.corpus.films(rows), self.encoder.image_size)).sigmoid()
            if probability.shape[-1] != self.corpus.size:
                side = (self.corpus.size, self.corpus.size)
                probability = F.interpolate(probability, side, mode="bilinear", align_corners=False)
            parts.append(pixel_counts(probability.cpu().numpy(), region_masks(self.corpus, rows, self.films.findings).numpy()))
        return np.concatenate(parts)

    def _logits(self, segmenter: Segmenter, images: Tensor) -> Tensor:
        with autocast(self.precision, self.device):
            return segmenter(images.to(self.device).contiguous(memory_format=torch.channels_last)).float()


def dice_focal_loss(logits: Tensor, masks: Tensor, gamma: float = 2.0, weight: float = 10.0, smooth: float = 1.0) -> Tensor:
    """The MGCA protocol's loss, 10 focal - log(soft Dice over the batch), the mean over findings: logits and masks [B,K,H,W] -> scalar.

    focal = mean of (1 - p_t)^gamma BCE (Lin et al., ICCV 2017, without alpha); soft Dice = (2 sum pm + 1)/(sum p + sum m + 1).
    """
    loss = F.binary_cross_entropy_with_logits(logits, masks, reduction="none")
    focal = ((1 - torch.exp(-loss)) ** gamma * loss).mean(dim=(0, 2, 3))
    probability = logits.sigmoid()
    both = (probability * masks).sum(dim=(0, 2, 3))
    dice = (2 * both + smooth) / (probability.sum(dim=(0, 2, 3)) + masks.sum(dim=(0, 2, 3)) + smooth)
    return (weight * focal - torch.log(dice)).mean()

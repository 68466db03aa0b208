"""Films a second on one core: a built corpus against the peers' ways from 256 px files and full-size ones; the loader against its step.

    python benchmarks/input.py --out results/input.json
    python benchmarks/input.py --device cuda --image resnet50 --text base --batch 144 --out results/input_gpu.json

A corpus of procedural films at 256 px is built first (or --data CORPUS given). Its JPEGs are also written to files for the peers; full-size
films are those of read_films.py. To a crop, one thread, all in turn:

sista                `Corpus.films`: uint8 batch [B,1,256,256], ready for augmentation, which happens on the device
sista, cropped       and a random 224 px crop of each
sista, pgm           the same two from a corpus built with --image_format pgm (not where --data is given)
MGCA from 256 px     cv2.imread, resize to 256 px (nothing to do), pad, PIL RGB, RandomCrop(224), ToTensor, Normalize; collated float32
PIL from 256 px      Image.open, RGB, Resize(256), RandomCrop(224), ToTensor, Normalize; collated float32
... full size        the same from files of 2,544 x 3,056, as the peers read them in every epoch
decode ...           the decoder alone

Then pairs a second of `PairLoader` by number of threads, and of the training step that it feeds (sista, augmentation, fused AdamW).
"""

from __future__ import annotations

import argparse
import io
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from measuring import facts, interleave, run_arguments, summary, table, write
from PIL import Image
from read_films import GRAINS, make_film
from torch import Tensor
from torchvision import transforms
from torchvision.io import ImageReadMode, decode_jpeg

from sista.archives.build import build
from sista.archives.phantom import Phantom
from sista.corpus.corpus import Corpus
from sista.corpus.films.augmentation import Ranges, augment
from sista.corpus.loader import PairLoader
from sista.methods import make_method, settings_of
from sista.models.dual_encoder import DualEncoder
from sista.models.image_encoder import ImageEncoder
from sista.models.precision import autocast, choose_device, choose_precision
from sista.models.text_encoder import TextEncoder

SIZE, CROP = 256, 224
TO_TENSOR = transforms.Compose([transforms.RandomCrop(CROP), transforms.ToTensor(), transforms.Normalize((0.5,) * 3, (0.5,) * 3)])
BY_PIL = transforms.Compose([transforms.Resize(SIZE), TO_TENSOR])


def by_mgca(path: Path) -> Tensor:
    """MGCA's `get_imgs` and `resize_img` (datasets/utils.py): long side to 256 px by INTER_AREA, zero padding, a colour crop."""
    film = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    height, width = film.shape
    scale = SIZE / max(height, width)
    small = cv2.resize(film, (max(1, int(width * scale)), max(1, int(height * scale))), interpolation=cv2.INTER_AREA)
    top, left = (SIZE - small.shape[0]) // 2, (SIZE - small.shape[1]) // 2
    square = np.pad(small, [(top, SIZE - small.shape[0] - top), (left, SIZE - small.shape[1] - left)], mode="constant")
    return TO_TENSOR(Image.fromarray(square).convert("RGB"))


def by_pil(path: Path) -> Tensor:
    """What a torchvision user writes."""
    return BY_PIL(Image.open(path).convert("RGB"))


def cropped(corpus: Corpus, rows: np.ndarray, rng: np.random.Generator) -> Tensor:
    """Films of a corpus with a random crop of each, uint8."""
    films = corpus.films(rows)
    corners = rng.integers(0, SIZE - CROP + 1, (len(rows), 2))
    return torch.stack([film[:, y : y + CROP, x : x + CROP] for film, (y, x) in zip(films, corners, strict=True)])


def to_a_crop(corpus: Corpus, plain: Corpus | None, folder: Path, batch: int, full: int, rounds: int) -> dict[str, Any]:
    """Films a second of every way, one thread."""
    rows, rng = np.arange(batch) % len(corpus), np.random.default_rng(0)
    data = [bytes(corpus.stored.cell("image", int(row)).as_buffer()) for row in rows]
    small, large = [], []
    for number, one in enumerate(data):
        small.append(folder / f"small-{number}.jpg")
        small[-1].write_bytes(one)
    for number in range(full):
        large.append(folder / f"full-{number}.jpg")
        grain = list(GRAINS.values())[number % len(GRAINS)]
        Image.fromarray((make_film(number, grain) >> 4).astype(np.uint8)).save(large[-1], quality=95)
    whole = [path.read_bytes() for path in large]
    decoders: dict[str, Callable[[bytes], Any]] = {
        "OpenCV": lambda one: cv2.imdecode(np.frombuffer(one, np.uint8), cv2.IMREAD_GRAYSCALE),
        "PIL": lambda one: np.asarray(Image.open(io.BytesIO(one))),
        "torchvision": lambda one: decode_jpeg(torch.frombuffer(bytearray(one), dtype=torch.uint8), mode=ImageReadMode.GRAY),
    }
    ways: dict[str, tuple[int, Callable[[], Any]]] = {
        "sista": (batch, lambda: corpus.films(rows)),
        "sista, cropped": (batch, lambda: cropped(corpus, rows, rng)),
        **(
            {}
            if plain is None
            else {"sista, pgm": (batch, lambda: plain.films(rows)), "sista, pgm, cropped": (batch, lambda: cropped(plain, rows, rng))}
        ),
        "MGCA from 256 px": (batch, lambda: torch.stack([by_mgca(path) for path in small])),
        "PIL from 256 px": (batch, lambda: torch.stack([by_pil(path) for path in small])),
        "MGCA from full size": (full, lambda: torch.stack([by_mgca(path) for path in large])),
        "PIL from full size": (full, lambda: torch.stack([by_pil(path) for path in large])),
        **{f"decode 256 px by {name}": (batch, lambda d=d: [d(one) for one in data]) for name, d in decoders.items()},
        **{f"decode full size by {name}": (full, lambda d=d: [d(one) for one in whole]) for name, d in decoders.items()},
    }
    seconds = interleave({name: run for name, (_, run) in ways.items()}, rounds, torch.device("cpu"))
    a_film = {name: [value / ways[name][0] for value in values] for name, values in seconds.items()}
    result: dict[str, Any] = {"mean_bytes": {"256 px": int(np.mean([*map(len, data)])), "full size": int(np.mean([*map(len, whole)]))}}
    peers = ("MGCA from 256 px", "MGCA from full size")
    for name, values in a_film.items():
        result[name] = {
            "films_per_s": round(1 / statistics.median(values), 1),
            "best_films_per_s": round(1 / min(values), 1),
            **{f"times_{peer}": _times(values, a_film[peer]) for peer in peers},
        }
    return result


def _times(mine: list[float], theirs: list[float]) -> float:
    """How many times as fast: the median over rounds."""
    return float(f"{statistics.median(b / a for a, b in zip(mine, theirs, strict=True)):.4g}")


class Step:
    """The training step that the loader feeds."""

    def __init__(self, corpus: Corpus, image: str, text: str, size: int, precision: str, device: torch.device) -> None:
        torch.manual_seed(0)
        encoder = DualEncoder(ImageEncoder(image, image_size=size), TextEncoder(text, vocabulary=max(30522, len(corpus.tokenizer))))
        self.learner = make_method("sista", encoder, lambda share: 0.9, settings_of("sista", {})).to(device).train()
        encoder.image.to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.AdamW([p for p in self.learner.parameters() if p.requires_grad], lr=1e-5, fused=True)
        self.size, self.precision, self.device = size, precision, device

    def __call__(self, batch: Any) -> None:
        generator = torch.Generator(self.device).manual_seed(0)
        batch = batch.to(self.device)
        images = augment(batch.images, self.size, Ranges(), generator).contiguous(memory_format=torch.channels_last)
        with autocast(self.precision, self.device):
            loss = self.learner(batch, images, generator).loss
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)


def loader_and_step(corpus: Corpus, step: Step, batch: int, threads: list[int], batches: int, rounds: int) -> dict[str, Any]:
    """Pairs a second of the loader by threads, of the step on a batch that is there, and of both together."""

    def load(number: int) -> None:
        for _ in PairLoader(corpus, corpus.rows(), batch, threads=number, ahead=2 * max(1, number)).batches(0, batches):
            pass

    def train(number: int) -> None:
        for one in PairLoader(corpus, corpus.rows(), batch, threads=number, pin=step.device.type == "cuda").batches(0, 2):
            step(one)

    ready = corpus.batch(np.arange(batch))
    runs: dict[str, tuple[int, Callable[[], Any]]] = {
        **{f"loader, {number} threads": (batches, lambda n=number: load(n)) for number in threads},
        "step on a batch in memory": (2, lambda: [step(ready) for _ in range(2)]),
        **{f"step fed by {number} threads": (2, lambda n=number: train(n)) for number in (0, 2)},
    }
    seconds = interleave({name: run for name, (_, run) in runs.items()}, rounds, step.device)
    a_batch = {name: [value / runs[name][0] for value in values] for name, values in seconds.items()}
    steps = a_batch["step on a batch in memory"]
    return {
        name: {
            **summary(values),
            "pairs_per_s": round(batch / statistics.median(values), 1),
            "times_the_step": _times(values, steps),
        }
        for name, values in a_batch.items()
    }


def main() -> None:
    """Build, measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="a corpus of 256 px films; by default 512 procedural ones are made")
    parser.add_argument("--films", type=int, default=512)
    parser.add_argument("--full", type=int, default=6, help="full-size films")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--image", default="vit_base_patch16_224")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--text", default="base")
    parser.add_argument("--batch", type=int, default=48)
    parser.add_argument("--threads", type=int, nargs="+", default=[0, 1, 2, 4])
    parser.add_argument("--batches", type=int, default=8, help="batches that the loader loads at a time")
    parser.add_argument("--step-rounds", type=int, default=3)
    run_arguments(parser)
    given = parser.parse_args()
    device = choose_device(given.device)
    precision = choose_precision(given.precision, device)
    with tempfile.TemporaryDirectory() as folder:
        place = given.data
        if place is None:
            place = Path(folder) / "corpus"
            build(Phantom(given.films, size=SIZE), place, progress=False)
            build(Phantom(given.films, size=SIZE), Path(folder) / "pgm", image_format="pgm", progress=False)
        corpus = Corpus.open(place)
        plain = Corpus.open(Path(folder) / "pgm") if given.data is None else None
        corpus.warm("tfidf")
        result: dict[str, Any] = {**facts(device), "corpus": repr(corpus), "precision": precision}
        threads = torch.get_num_threads()
        cv2.setNumThreads(1)
        torch.set_num_threads(1)
        result["one thread"] = to_a_crop(corpus, plain, Path(folder), given.batch, given.full, given.rounds)
        table(
            "to a crop, one thread",
            ["films/s", "best", "times MGCA from 256 px", "times MGCA from full size"],
            {name: tuple(row.values()) for name, row in result["one thread"].items() if name != "mean_bytes"},
        )
        write(given.out, result)
        torch.set_num_threads(threads)
        step = Step(corpus, given.image, given.text, given.size, precision, device)
        found = loader_and_step(corpus, step, given.batch, given.threads, given.batches, given.step_rounds)
        result["loader and step"] = {"encoders": f"{given.image} at {given.size} + BERT {given.text}", "batch": given.batch, **found}
        table(
            f"{result['loader and step']['encoders']}, batch {given.batch}, {result['device']}",
            ["seconds a batch", "pairs/s", "times the step"],
            {name: (row["median_s"], row["pairs_per_s"], row["times_the_step"]) for name, row in found.items()},
        )
        write(given.out, result)


if __name__ == "__main__":
    main()

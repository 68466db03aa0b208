"""Batches in an order that is a function of seed and step, so that a run that was interrupted sees what an unbroken one would."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count

import numpy as np

from sista.corpus.batch import Batch
from sista.corpus.corpus import Corpus
from sista.errors import SistaError


def batch_rows(rows: np.ndarray, batch_size: int, seed: int, epoch: int) -> np.ndarray:
    """The batches of one epoch, row numbers [batches, batch_size]: a seeded permutation, an incomplete last batch dropped."""
    order = np.random.default_rng([seed, epoch]).permutation(np.asarray(rows))
    whole = len(order) // batch_size
    return order[: whole * batch_size].reshape(whole, batch_size)


class PairLoader:
    """Endless batches of a corpus by global step; len(loader) is the number of batches in an epoch.

    batch_size: pairs of a batch over all processes. With `world` processes number `rank` reads the films of its equal share alone; texts
    and teacher vectors, a few kilobytes a pair, it reads of the whole batch, so that each process knows what a pair is contrasted with,
    and a batch is the same however many processes share it.
    shuffle_sentences: a new order of each report's sentences each time. shorten: share of the reports of which only some sentences are
    taken. threads: decode ahead in the background, order kept, `ahead` batches at most; 0: each batch when it is asked for. pin: give
    batches in page-locked memory (`Batch.pinned`), for a CUDA device.
    """

    def __init__(
        self,
        corpus: Corpus,
        rows: np.ndarray,
        batch_size: int,
        teacher: str = "tfidf",
        seed: int = 0,
        shuffle_sentences: bool = False,
        shorten: float = 0.0,
        rank: int = 0,
        world: int = 1,
        threads: int = 2,
        ahead: int = 4,
        pin: bool = False,
    ) -> None:
        if len(rows) < batch_size:
            raise SistaError(
                f"{corpus.path}: {len(rows)} pairs are fewer than one batch of {batch_size}; lower the batch size to at most {len(rows)}"
            )
        if batch_size % world:
            raise SistaError(f"batch size {batch_size} cannot be shared among {world} processes; make it a multiple of {world}")
        self.corpus, self.rows, self.batch_size, self.teacher, self.seed = corpus, np.asarray(rows), batch_size, teacher, seed
        self.shuffle_sentences, self.shorten = shuffle_sentences, shorten
        self.rank, self.world, self.threads, self.ahead, self.pin = rank, world, threads, ahead, pin
        self._epoch: tuple[int, np.ndarray] = (-1, np.empty(0))

    def __len__(self) -> int:
        return len(self.rows) // self.batch_size

    def all_rows_of(self, step: int) -> np.ndarray:
        """The rows of the batch at a global step, counted from 0 over all epochs."""
        epoch, place = divmod(step, len(self))
        if self._epoch[0] != epoch:
            self._epoch = (epoch, batch_rows(self.rows, self.batch_size, self.seed, epoch))
        return self._epoch[1][place]

    def rows_of(self, step: int) -> np.ndarray:
        """The rows of that batch whose films this process reads."""
        return self._own(self.all_rows_of(step))

    def batch(self, step: int, rows: np.ndarray | None = None) -> Batch:
        """The batch of a global step."""
        index = np.asarray(self.all_rows_of(step) if rows is None else rows, dtype=np.int64)
        rng = np.random.default_rng([self.seed, step, 0, 1])
        found = self.corpus.batch(index, self.teacher, rng, self.shuffle_sentences, self.shorten, films=self._own(index))
        return found.pinned() if self.pin else found

    def _own(self, rows: np.ndarray) -> np.ndarray:
        share = self.batch_size // self.world
        return rows[self.rank * share : (self.rank + 1) * share]

    def batches(self, start: int = 0, stop: int | None = None) -> Iterator[Batch]:
        """The batches of steps `start` to `stop` (endless without), read ahead in the background; errors come up at their own batch."""
        self.corpus.warm(self.teacher)  # here, not in two threads at once
        if self.threads == 0:
            for step in count(start) if stop is None else range(start, stop):
                yield self.batch(step)
            return
        waiting: deque[Future[Batch]] = deque()
        pool = ThreadPoolExecutor(self.threads, thread_name_prefix="sista-loader")
        step = start
        try:
            while stop is None or step < stop or waiting:
                while len(waiting) < self.ahead and (stop is None or step < stop):
                    waiting.append(pool.submit(self.batch, step, self.all_rows_of(step)))
                    step += 1
                if not waiting:
                    return
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

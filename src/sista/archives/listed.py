"""An archive split by id lists, such as those of a published protocol: `train.txt`, `valid.txt`, `test.txt`, an id a line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sista.archives.folder import FILMS
from sista.corpus.splits import list_checksum
from sista.corpus.study import SPLITS, Archive, Film, NotAsked, Study
from sista.errors import SistaError

_UNLISTED = "in none of the lists"


class Listed:
    """The films of `archive` whose ids stand in the lists of `folder`, each in the split of its list; the others are left out, one by one.

    A film is known by its id, or by the end of its path ("train/00012.jpg", "00012.jpg", "00012"), as lists have it, whatever image ending
    either has, for copies are often of another; a study without films by its own id. `protocol` is the name that `sista protocol NAME
    --out` left beside the lists, "" where there is none; `listed` counts the ids by split.

    Raises SistaError for a folder without such lists, and where an id, or a study, stands in two of them: a corpus holds no such leak.
    """

    def __init__(self, archive: Archive, folder: Path) -> None:
        self.archive, self.folder = archive, Path(folder)
        files = {split: self.folder / f"{split}.txt" for split in SPLITS}
        if not any(file.is_file() for file in files.values()):
            raise SistaError(f"{folder} holds no train.txt, valid.txt or test.txt; give a folder that `sista protocol NAME --out` wrote")
        self._split: dict[str, str] = {}
        self._digests: dict[str, str] = {}
        self.listed: dict[str, int] = {}
        twice: list[str] = []
        for split, file in files.items():
            ids = [line.strip() for line in _text(file).splitlines() if line.strip()] if file.is_file() else []
            twice += [one for one in ids if self._split.get(one, split) != split]
            self._split |= dict.fromkeys(ids, split)
            self._digests[split] = list_checksum(ids)
            self.listed[split] = len(set(ids))
        if twice:
            raise SistaError(
                f"{folder}: {len(twice):,} id(s) stand in two lists, such as {twice[0]!r}. A corpus holds no such leak; where the protocol "
                "has a corrected form (`sista protocol`), take its lists"
            )
        self._bare = _without_endings(self._split)
        self.protocol = _protocol(self.folder / "protocol.json")

    @property
    def name(self) -> str:
        return self.archive.name

    @property
    def label_names(self) -> tuple[str, ...]:
        return self.archive.label_names

    @property
    def has_reports(self) -> bool:
        return getattr(self.archive, "has_reports", True)

    @property
    def text_only(self) -> bool:
        return getattr(self.archive, "text_only", False)

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(getattr(self.archive, "notes", ()))

    def __len__(self) -> int:
        return len(self.archive)

    def __getitem__(self, index: int) -> Study:
        """Study number `index`, its films in no list marked as not asked for; `NotAsked` where there is none in a list."""
        study = self.archive[index]
        if self.text_only:
            return replace(study, split=self._require(study.study_id, {self._split.get(study.study_id, "")}))
        splits = [self._of(film) for film in study.films]
        split = self._require(study.study_id, set(filter(None, splits)))
        films = (film if of else replace(film, not_asked=_UNLISTED) for film, of in zip(study.films, splits, strict=True))
        return replace(study, films=tuple(films), split=split)

    def describe(self) -> dict[str, Any]:
        """The archive's own description, the SHA-256 of each list, as `sista protocol` has it, and whose they are."""
        return {**self.archive.describe(), "lists": dict(self._digests), "protocol": self.protocol or None}

    def _require(self, study: str, splits: set[str]) -> str:
        if len(splits) > 1:
            raise SistaError(f"{self.folder}: films of study {study} stand in {' and '.join(sorted(splits))}; a corpus holds no such leak")
        if not (split := next(iter(splits), "")):
            raise NotAsked(f"{_UNLISTED}: {study}")
        return split

    def _of(self, film: Film) -> str:
        names = [film.film_id]
        if isinstance(film.source, Path):
            names += ["/".join(film.source.parts[-2:]), film.source.name, film.source.stem]
        found = next((self._split[name] for name in names if name in self._split), "")
        return found or next((self._bare[name] for name in map(_bare, names) if self._bare.get(name)), "")


def _bare(name: str) -> str:
    """A name without its image ending."""
    ending = Path(name).suffix
    return name.removesuffix(ending) if ending.lower() in FILMS else name


def _without_endings(split: Mapping[str, str]) -> dict[str, str]:
    """Ids without their image endings -> split; "" where two of them lie in different ones."""
    bare: dict[str, str] = {}
    for name, of in split.items():
        bare[_bare(name)] = of if bare.get(_bare(name), of) == of else ""
    return bare


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeError) as error:
        raise SistaError(f"{file} cannot be read as a list of ids: {error}") from error


def _protocol(file: Path) -> str:
    try:
        return str(json.loads(file.read_text(encoding="utf-8"))["protocol"]) if file.is_file() else ""
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SistaError(f"{file} is not what `sista protocol NAME --out` writes ({error}); write the lists again, or remove it") from error

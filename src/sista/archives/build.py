"""From an archive's name, or an archive, to a corpus on disk."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sista.archives.listed import Listed
from sista.archives.registry import archive_class
from sista.corpus.build import build_corpus
from sista.corpus.films.radiograph import Display
from sista.corpus.study import Archive
from sista.errors import SistaError


def build(
    archive: str | Archive,
    out: Path,
    size: int | None = None,
    image_format: str = "jpeg",
    workers: int | None = None,
    tokenizer: str | None = None,
    teachers: list[str] | None = None,
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1),
    salt: str = "sista",
    lists: Path | None = None,
    views: str = "frontal",
    window: str | int = "first",
    frame: int | None = None,
    crop_borders: bool = False,
    min_words: int = 3,
    on_error: str = "skip",
    engine: str = "processes",
    progress: bool = True,
    options: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Build a corpus: small films, cleaned reports, tokens and report vectors in one folder.

    The same call goes on where an interrupted one stopped. What cannot be used is left out, counted by reason, and named in
    `left_out.csv`; a corpus that is finished is not read again, so that what has been mended since needs a new folder.

    Args:
        archive: an archive (`Phantom(count=3000)`), or its name with `options`.
        out: a new folder, or that of the same build interrupted.
        size: long side of the stored films in pixels; by default the phantom's own size, else 256.
        image_format: jpeg (quality 95), png (lossless), or pgm (not compressed: read several times faster, several times the room).
        workers: processes that read films; by default one per core.
        tokenizer: a transformers name or folder, a tokenizer.json or a vocab.txt; by default one is trained on the train split.
        teachers: report similarities to compute at once: tfidf (default), tfidf-raw, labels, rules, oracle, hf:NAME; others are computed
            when first asked for.
        fractions: shares of subjects in train, valid and test, for studies whose archive gives no split.
        salt: another salt draws another split of the studies whose archive gives none; nih draws its own valid, and the same at any salt.
        lists: a folder with train.txt, valid.txt and test.txt, an id of a film a line, as `sista protocol NAME --out` writes it: films go
            where the lists say, whatever split their archive gives, and those in none are left out.
        views: frontal leaves lateral films out and keeps those of unknown view; all keeps every film.
        window: of a DICOM film: first (of its header; by percentile where it has none and more than 8 bits), a number from 0,
            percentile, or none.
        frame: of a multi-frame DICOM film, from 0; by default such films are left out.
        crop_borders: cut off black borders before resizing.
        min_words: shorter reports are left out.
        on_error: skip leaves unusable studies out; refuse stops at the first.
        engine: processes of this machine, or ray, over a cluster (extra `ray`); the bytes are the same.
        progress: show a progress bar on standard error.
        options: with an archive's name, the arguments of its class.
    """
    source = _open(archive, options) if isinstance(archive, str) else archive
    if source is archive and options:
        raise SistaError("options go with an archive's name; this archive is already made")
    own_size: int = getattr(source, "size", 256)
    listed = None if lists is None else Listed(source, lists)
    facts = build_corpus(
        source if listed is None else listed,
        Path(out),
        size=own_size if size is None else size,
        image_format=image_format,
        workers=workers,
        tokenizer=tokenizer,
        teachers=tuple(teachers or ("tfidf",)),
        fractions=fractions,
        salt=salt,
        views=views,
        display=_display(window, frame),
        crop_borders=crop_borders,
        min_words=min_words,
        progress=progress,
        on_error=on_error,
        engine=engine,
    )
    named = {"left_out_named_in": str(Path(out) / "left_out.csv")} if facts["left_out"] else {}
    return {
        "corpus": str(out),
        **named,
        **({} if listed is None else _of_lists(listed, facts["splits"])),
        **{key: facts[key] for key in ("rows", "subjects", "splits", "left_out", "reasons", "notes", "fingerprint") if key in facts},
    }


def _of_lists(listed: Listed, splits: Mapping[str, Any]) -> dict[str, Any]:
    """How many ids each list has, and how many films of them are in the corpus."""
    found = {split: {"listed": count, "in_corpus": splits.get(split, 0)} for split, count in listed.listed.items()}
    return {"protocol": listed.protocol or None, "lists": found}


def _display(window: str | int, frame: int | None) -> Display:
    try:
        return Display(int(window) if str(window).isdecimal() else window, frame)
    except ValueError as error:
        raise SistaError(str(error)) from error


def _open(name: str, options: dict[str, Any] | None) -> Archive:
    try:
        return archive_class(name)(**(options or {}))
    except TypeError as error:
        raise SistaError(f"archive {name!r}: {error}") from error

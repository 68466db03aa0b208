"""A folder of films, each with its report in a text file beside it."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from sista.corpus.study import Film, Study, StudyRefused
from sista.errors import SistaError

FILMS = (".png", ".jpg", ".jpeg", ".dcm", ".dicom")
TEXT = ".txt"


class Folder:
    """Films below a folder, in the order of their paths: `a/b/film.png` with `a/b/film.txt`, or one report for all films of a folder.

    A film without a text file of its own takes `report.txt` of its folder; films that share one are one study. Endings may be in capitals.
    Where some films have a report, those that have none are left out; without any text file the corpus has no reports. There are no labels;
    use a table for those.

    Args:
        root: the folder.
        subject: whose film it is: folder (the one right below `root`; a film that lies in `root` is its own) or film (each its own).
    """

    name = "folder"
    label_names: tuple[str, ...] = ()

    def __init__(self, root: Path, subject: str = "folder") -> None:
        self.root, self.subject = Path(root), subject
        if subject not in ("folder", "film"):
            raise SistaError(f"folder: subject {subject!r}; choose folder or film")
        if not self.root.is_dir():
            raise SistaError(f"{self.root}: no such folder; give the folder that the films lie in")
        files = sorted(p for p in self.root.rglob("*") if p.suffix.lower() in (*FILMS, TEXT) and p.is_file())
        films = [p for p in files if p.suffix.lower() in FILMS]
        texts = {p.with_suffix(TEXT): p for p in files if p.suffix.lower() == TEXT}
        own_texts = {film.with_suffix(TEXT) for film in films}
        shared_texts = {
            name.parent: file
            for name, file in texts.items()
            if name.stem == "report" or (name.stem.lower() == "report" and name not in own_texts)
        }
        if not films:
            raise SistaError(f"{self.root}: no film below it (looked for {', '.join(FILMS)})")
        self._studies: dict[str, tuple[Path | None, list[Path]]] = {}
        for film in films:
            own, shared = texts.get(film.with_suffix(TEXT)), shared_texts.get(film.parent)
            text = own or shared
            key = (film.parent if text and text == shared else film.with_suffix("")).relative_to(self.root).as_posix()
            if key in self._studies and self._studies[key][0] != text:  # a film beside a folder of its name
                key = film.relative_to(self.root).as_posix()
            self._studies.setdefault(key, (text, []))[1].append(film)
        self._keys = list(self._studies)
        self.has_reports = any(text is not None for text, _ in self._studies.values())
        notes = [] if self.has_reports else [f"no film has a report beside it ({films[0].stem}{TEXT} or report{TEXT}, say)"]
        if len(self) > 1 and len({self._subject(key) for key in self._keys}) == 1:
            below = self._subject(self._keys[0])
            notes.append(f"all {len(films):,} films are below {below}, and so of one subject and in one split; else take subject=film")
        self.notes = tuple(notes)

    def __len__(self) -> int:
        return len(self._keys)

    def __repr__(self) -> str:
        return f"Folder({self.root}: {sum(len(films) for _, films in self._studies.values()):,} films in {len(self):,} studies)"

    def describe(self) -> dict[str, Any]:
        """The settings, the number of films, and a digest of all paths, of the films' sizes and of what the reports hold."""
        return {"subject": self.subject, "studies": len(self), "content": self._content}

    @cached_property
    def _content(self) -> str:
        digest = hashlib.sha256()
        for text, films in self._studies.values():
            for file in (*films, *filter(None, [text])):
                digest.update(f"{file.relative_to(self.root).as_posix()}\0{file.stat().st_size}\0".encode())
            if text is not None:
                with suppress(OSError):  # an unreadable one is told when it is its study's turn
                    digest.update(hashlib.sha256(text.read_bytes()).digest())
        return digest.hexdigest()

    def __getitem__(self, index: int) -> Study:
        """Study number `index`."""
        key = self._keys[index]
        text, films = self._studies[key]
        if text is None and self.has_reports:
            raise StudyRefused(f"no report file: {films[0]} (neither {films[0].stem}{TEXT} nor report{TEXT} beside it)")
        try:
            report = "" if text is None else text.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise StudyRefused(f"unreadable report: {text} ({error})") from None
        return Study(
            study_id=key,
            subject_id=self._subject(key),
            report=report,
            films=tuple(Film(film.relative_to(self.root).as_posix(), film) for film in films),
        )

    def _subject(self, key: str) -> str:
        """Whose study it is."""
        in_root = "/" not in key and self._studies[key][1][0].parent == self.root
        return key if self.subject == "film" or in_root else key.split("/")[0]

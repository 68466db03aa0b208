"""OpenI, the Indiana University chest X-ray collection: 3,955 reports with indexing terms, 7,470 films."""

from __future__ import annotations

import hashlib
import re
import tarfile
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from sista.archives.openi_terms import LABELS, labels_of
from sista.archives.release import Release, read_columns, some_existing
from sista.corpus.study import Film, Study
from sista.errors import SistaError

SECTIONS = ("COMPARISON", "INDICATION", "FINDINGS", "IMPRESSION")
_LARGEST = 2**20  # bytes; the largest report as released has some 20,000
_VIEWS = {"frontal": "FRONTAL", "lateral": "LATERAL"}


@dataclass(frozen=True, slots=True)
class OpenIReport:
    """One XML file: `sections` by heading as far as they are filled, manual and automatic indexing terms, the ids of the films."""

    study_id: str
    sections: dict[str, str]
    major: tuple[str, ...]
    automatic: tuple[str, ...]
    images: tuple[str, ...]


class OpenI(Release):
    """One study per report, with its films; labels by the manual indexing terms, see `sista.archives.openi_terms`.

    Read: every XML file in a folder, or in NLMCXR_reports.tgz without unpacking it (COMPARISON, INDICATION, FINDINGS, IMPRESSION, the
    `major` and `automatic` terms, the parentImage ids); PNG or DICOM films by their id in `images`. The reports do not say which film is
    the lateral one: `projections` does; without it the view is that of a DICOM header, or unknown, and `views="frontal"` keeps those.
    `reports` holds each report as it was read, its terms included.
    Left out: nothing here. 28 reports have neither findings nor impression; `without_text` names them, and the builder leaves them out.
    There is no split and no patient id (one study per patient, by the authors' account): the builder draws per study.

    Licence: reports CC BY-NC-ND 4.0: use them in memory, do not pass on changed copies. Films: see the site.
    Obtain: https://openi.nlm.nih.gov/faq (NLMCXR_reports.tgz, NLMCXR_png.tgz)

    Args:
        root: NLMCXR_reports.tgz, or a folder below which the XML files lie.
        images: the folder of the films, unpacked from NLMCXR_png.tgz or NLMCXR_dcm.tgz.
        text_only: read the reports alone; the studies then have no film.
        projections: a CSV with columns filename and projection (Frontal, Lateral), as that of the Kaggle copy (indiana_projections.csv).
    """

    name = "openi"
    label_names: tuple[str, ...] = LABELS
    has_reports = True

    def __init__(self, root: Path, images: Path | None = None, text_only: bool = False, projections: Path | None = None) -> None:
        super().__init__(root, text_only=text_only)
        self.text_only = text_only
        self.images = None if images is None else Path(images)
        if text_only and (images is not None or projections is not None):
            raise SistaError("openi: with text_only=true no film is read; leave images and projections out")
        if not text_only and (self.images is None or not self.images.is_dir()):
            given = "no images given" if images is None else f"{images}: no such folder"
            raise SistaError(f"openi: {given}; give images=, the folder with the films of NLMCXR_png.tgz, or text_only=true")
        self.reports = sorted((_read_report(name, data) for name, data in self._files()), key=lambda report: _number(report.study_id))
        if not self.reports:
            raise SistaError(f"{self.root}: no XML file there; give NLMCXR_reports.tgz or the folder unpacked from it")
        ids = Counter(report.study_id for report in self.reports)
        if again := [study for study, count in ids.items() if count > 1]:
            raise SistaError(f"{self.root}: {len(again)} report id(s) twice ({', '.join(again[:3])}); keep one copy of the release there")
        self._views = {} if projections is None else self._read_projections(Path(projections))

    def __len__(self) -> int:
        return len(self.reports)

    def __getitem__(self, index: int) -> Study:
        """Study number `index`, in the order of the report numbers."""
        report = self.reports[index]
        text = "\n".join(f"{heading}: {body}" for heading, body in report.sections.items())
        films: tuple[Film, ...] = ()
        if self.images is not None and not self.text_only:
            films = tuple(Film(image, self._path_of(image), self._views.get(_key(image), "")) for image in report.images)
        return Study(report.study_id, report.study_id, text, some_existing(films), labels_of(report.major))

    @property
    def without_text(self) -> list[str]:
        """The studies that have neither findings nor impression."""
        return [report.study_id for report in self.reports if not {"FINDINGS", "IMPRESSION"} & set(report.sections)]

    def counts(self) -> dict[str, Any]:
        """Reports, films named in them, filled sections, reports by number of films, indexed reports, positives, and those without text."""
        positives = Counter(name for report in self.reports for name, value in labels_of(report.major).items() if value == 1)
        films = Counter(len(report.images) for report in self.reports)
        return {
            "rows": len(self),
            "studies": len(self),
            "subjects": len(self),
            "films": 0 if self.text_only else sum(len(report.images) for report in self.reports),
            "images_named": sum(len(report.images) for report in self.reports),
            **{f"with_{heading.lower()}": sum(heading in report.sections for report in self.reports) for heading in SECTIONS},
            "indexed": sum(bool(labels_of(report.major)) for report in self.reports),
            "reports_by_films": {str(count): films[count] for count in sorted(films)},
            "positives": {name: positives[name] for name in LABELS},
            "left_out": {"neither findings nor impression (by the builder)": len(self.without_text)},
        }

    def _files(self) -> Iterator[tuple[str, bytes]]:
        if self.root.is_dir():
            digest = hashlib.sha256()
            for path in sorted(path for path in self.root.rglob("*.xml") if _is_report(path.name)):
                data = path.read_bytes()
                digest.update(f"{path.name}\0{len(data)}\0".encode() + data)
                yield str(path), data
            self._tables["*.xml"] = digest.hexdigest()
            return
        if not self.root.is_file():
            raise SistaError(f"{self.root}: no such file or folder; give NLMCXR_reports.tgz or the folder unpacked from it")
        self._noted(self.root)
        try:
            with tarfile.open(self.root) as archive:
                for member in archive:
                    file = archive.extractfile(member) if member.isfile() and _is_report(member.name.rpartition("/")[2]) else None
                    if file is not None:
                        if member.size > _LARGEST:
                            raise SistaError(f"{self.root}: {member.name} has {member.size:,} bytes; no report is that long")
                        yield f"{self.root}:{member.name}", file.read()
        except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
            raise SistaError(f"{self.root}: cannot be read as a tar file ({error}); download it again") from None

    def _read_projections(self, path: Path) -> dict[str, str]:
        if not path.is_file():
            raise SistaError(f"{path}: no such file; projections is a CSV with columns filename and projection")
        frame = read_columns(self._noted(path), {"film": "filename", "projection": "projection"})
        return {_key(film): _VIEWS.get(view.lower(), view) for film, view in zip(frame["film"], frame["projection"], strict=True)}

    def _path_of(self, image: str) -> Path:
        assert self.images is not None
        number = _key(image)
        in_folder = f"{number.partition('_')[0]}/{number}.dcm"  # as NLMCXR_dcm.tgz has them, a folder per report
        names = (f"{image}.png", f"{image}.dcm", f"{number}.dcm.png", f"{number}.png", f"{number}.dcm", in_folder, f"{image}.jpg")
        return next((self.images / name for name in names if (self.images / name).is_file()), self.images / names[0])


def _is_report(name: str) -> bool:
    """Not the hidden twins "._1.xml" that a Mac leaves in folders and tar files."""
    return name.endswith(".xml") and not name.startswith(".")


def _read_report(name: str, data: bytes) -> OpenIReport:
    try:
        if b"<!ENTITY" in data:
            raise ElementTree.ParseError("it declares entities")
        root = ElementTree.fromstring(data)
    except (ElementTree.ParseError, LookupError, ValueError) as error:
        raise SistaError(f"{name}: not a readable XML report ({error}); download it again") from None
    uid = root.find("uId")
    if uid is None or not uid.get("id"):
        raise SistaError(f"{name}: no <uId id=...>; expected a report of the Indiana collection")
    sections: dict[str, str] = {}
    for element in root.iter("AbstractText"):
        heading, body = (element.get("Label") or "").upper(), " ".join("".join(element.itertext()).split())
        if body:
            sections[heading] = f"{sections[heading]} {body}" if heading in sections else body
    terms = {kind: tuple((term.text or "").strip() for term in root.iter(kind)) for kind in ("major", "automatic")}
    images = tuple(dict.fromkeys(image.get("id") or "" for image in root.iter("parentImage")))
    return OpenIReport(uid.get("id") or "", sections, terms["major"], terms["automatic"], images)


def _key(image: str) -> str:
    """CXR2_IM-0652-1001, CXR1_1_IM-0001-3001 and 1_IM-0001-3001.dcm.png by the name that all copies share: 2_IM-0652-1001 and the like."""
    return re.sub(r"^CXR(?:\d+_(?=\d+_IM))?|(?:\.dcm)?\.(?:png|jpg|dcm)$", "", image)


def _number(study: str) -> tuple[int, str]:
    digits = re.sub(r"\D", "", study)
    return (int(digits) if digits else 0, study)

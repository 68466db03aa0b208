"""Text files in a big zip, found without keeping its directory of a quarter of a million entries as Python objects."""

from __future__ import annotations

import hashlib
import re
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np

from sista.corpus.study import StudyRefused
from sista.errors import SistaError

_LARGEST = 2**20  # bytes of one text; the longest report has some 10,000
_LOCAL_HEADER = 30  # bytes before a member's name; the lengths of name and extra field are its last two 16-bit numbers


class ZippedTexts:
    """The members of a zip whose name ends in `s12345678.txt`, by that number. Picklable; each process opens the file for itself.

    Keeps five integers per member (40 bytes; 9 MB for MIMIC-CXR's 227,835 reports). `digest` covers names and checksums of all members.

    Raises:
        SistaError: the file is no zip, or holds no such member.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        digest, rows = hashlib.sha256(), []
        try:
            with zipfile.ZipFile(path) as archive:
                for member in archive.infolist():
                    number = re.search(r"(?:^|/)s(\d+)\.txt$", member.filename)
                    if number:
                        digest.update(f"{member.filename}\0{member.CRC}\n".encode())
                        rows.append((int(number[1]), member.header_offset, member.compress_size, member.compress_type, member.CRC))
        except (zipfile.BadZipFile, OSError) as error:
            raise SistaError(f"{path}: not a readable zip ({error}); download it again") from None
        if not rows:
            raise SistaError(f"{path}: no member named s<study>.txt; expected mimic-cxr-reports.zip as released")
        table = np.array(rows, dtype=np.int64)
        self._members = table[np.argsort(table[:, 0], kind="stable")]
        self.digest = digest.hexdigest()

    def __len__(self) -> int:
        return len(self._members)

    def numbers(self) -> np.ndarray:
        """The numbers of all members, ascending."""
        return self._members[:, 0]

    def read(self, number: int) -> str:
        """The text of one member; `StudyRefused` when there is none or it is damaged."""
        place = int(np.searchsorted(self._members[:, 0], number))
        if place == len(self) or self._members[place, 0] != number:
            raise StudyRefused(f"no such file: s{number}.txt in {self.path}")
        _, offset, size, kind, checksum = self._members[place].tolist()
        try:
            with self.path.open("rb") as file:
                file.seek(offset)
                name, extra = struct.unpack("<HH", file.read(_LOCAL_HEADER)[26:30])
                file.seek(offset + _LOCAL_HEADER + name + extra)
                data = file.read(min(size, _LARGEST))
            if kind != zipfile.ZIP_STORED:
                data = zlib.decompressobj(-15).decompress(data, _LARGEST)
            if zlib.crc32(data) != checksum:
                raise zlib.error("its checksum differs")
            return data.decode("utf-8", errors="replace")
        except (OSError, struct.error, zlib.error) as error:
            raise StudyRefused(f"unreadable report: s{number}.txt in {self.path} ({error})") from None

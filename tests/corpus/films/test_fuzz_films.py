"""Mutated films never crash, hang or fill the memory: mutation number N is made from seed N, so every finding can be made again.

`python -m tests.corpus.films.test_fuzz_films START STOP` reads mutations START to STOP in this process and prints a JSON line for each.
"""

from __future__ import annotations

import io
import json
import os
import resource
import selectors
import signal
import subprocess
import sys
import tempfile
import time
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("pydicom", reason="pydicom is not installed (extra `dicom`)")
from sista.corpus.films.radiograph import Display, open_radiograph
from sista.corpus.study import StudyRefused
from tests.corpus.films.dicom_made import SYNTAXES, colour_film, dataset, film, to_bytes
from tests.corpus.films.png_made import png_of_16_bits

SECONDS, MEGABYTES = 5.0, 1024
PATIENCE = 60.0  # s of wall clock for one file before the process counts as hanging; its CPU time is held to SECONDS
ROOT = Path(__file__).parents[3]
SHELL = ["sh", "-c", '"$@"; exit $?', "sh"]  # a process between, for the peak memory of a parent counts as its child's own
EXTREMES = [0, 1, 2, 255, 256, 32767, 32768, 65535]
LIES = {
    b"\x28\x00\x02\x00US": "samples",
    b"\x28\x00\x10\x00US": "rows",
    b"\x28\x00\x11\x00US": "columns",
    b"\x28\x00\x00\x01US": "bits allocated",
    b"\x28\x00\x01\x01US": "bits stored",
    b"\x28\x00\x02\x01US": "high bit",
    b"\x28\x00\x03\x01US": "sign",
}


def originals() -> list[bytes]:
    """One file of every kind that is read: DICOM in each syntax, gray, colour and palette, PNG and JPEG in their modes."""
    files = []
    for syntax in SYNTAXES.values():
        try:
            bits = 12 if syntax.endswith((".51", ".70", ".90")) or not syntax.startswith("1.2.840.10008.1.2.4.") else 8
            files.append(to_bytes(dataset(film(bits), bits, WindowCenter=[1000, 2], WindowWidth=[2000, 9], PixelPaddingValue=7), syntax))
            if bits == 8:
                files.append(to_bytes(dataset(colour_film()), syntax))
        except BaseException as missing:  # an encoder that is not installed
            if type(missing).__name__ != "Skipped":
                raise
    frames = np.stack([film(12, seed=seed) for seed in range(3)])
    many = dataset(frames[0], 12, NumberOfFrames=3)
    many.PixelData = frames.tobytes()
    files.append(to_bytes(many))
    files.append(files[0][files[0].index(b"\x08\x00\x16\x00") :])  # without preamble
    gray = film(8, height=60, width=70)
    for mode in ("L", "RGB", "RGBA", "LA", "P", "1"):
        files.append(_encoded(Image.fromarray(gray).convert(mode), "PNG"))
    files.append(_encoded(Image.fromarray(film(16)), "PNG"))
    for mode, options in (("L", {}), ("RGB", {}), ("CMYK", {}), ("L", {"progressive": True}), ("RGB", {"progressive": True})):
        files.append(_encoded(Image.fromarray(gray).convert(mode), "JPEG", **options))
    return files


def _encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def mutated(files: list[bytes], seed: int) -> bytes:
    """Mutation number `seed`: bytes flipped, cut, repeated or filled, or a size in the header that lies (and its checksum mended)."""
    rng = np.random.default_rng(seed)
    content = bytearray(files[int(rng.integers(len(files)))])
    for _ in range(int(rng.integers(1, 4))):
        kind = rng.choice(["flip", "flip early", "cut", "repeat", "fill", "lie", "lie", "bomb"])
        at = int(rng.integers(len(content)))
        if kind == "flip":
            for place in rng.integers(len(content), size=int(rng.integers(1, 20))):
                content[place] ^= 1 << int(rng.integers(8))
        elif kind == "flip early":
            for place in rng.integers(min(len(content), 900), size=int(rng.integers(1, 6))):
                content[place] = int(rng.integers(256))
        elif kind == "cut":
            del content[max(at, 20) :]
        elif kind == "repeat":
            content[at:at] = content[at : at + int(rng.integers(1, 3000))] * int(rng.integers(1, 4))
        elif kind == "fill":
            content[at : at + 4] = bytes([int(rng.choice([0, 255, 127]))]) * 4
        else:
            _lie(content, rng, int(rng.choice([5000, 9000, 60000])) if kind == "bomb" else None)
    return bytes(content)


def _lie(content: bytearray, rng: np.random.Generator, side: int | None) -> None:
    def value() -> int:
        return side or int(rng.choice(EXTREMES))

    if content[:4] == b"\x89PNG" and len(content) > 33:
        for start in (16, 20) if side else (int(rng.choice([16, 20])),):
            content[start : start + 4] = value().to_bytes(4, "big")
        content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
        return
    markers = [b"\xff\xc0", b"\xff\xc1", b"\xff\xc2", b"\xff\xc3", b"\xff\xf7"]
    for marker in markers:
        at = content.find(marker)
        if at >= 0 and at + 9 <= len(content):
            for start in (5, 7):
                content[at + start : at + start + 2] = value().to_bytes(2, "big")
    at = content.find(b"\xff\x4f\xff\x51")
    if at >= 0 and at + 42 <= len(content):
        for start in (8, 12, 24, 28) if side else (int(rng.choice([8, 12, 16, 20, 24, 28])),):
            content[at + start : at + start + 4] = value().to_bytes(4, "big")
    chosen = [b"\x28\x00\x10\x00US", b"\x28\x00\x11\x00US"] if side else [list(LIES)[int(rng.integers(len(LIES)))]]
    for tag in chosen:
        at = content.find(tag)
        if at >= 0:
            content[at + 8 : at + 10] = value().to_bytes(2, "little")


def read(path: Path, seed: int) -> dict[str, Any]:
    """What becomes of a file: pixels, a refusal, or a fault in words; with its CPU seconds."""
    rng = np.random.default_rng([seed, 1])
    display = Display(["first", "percentile", "none", 0][int(rng.integers(4))], [None, 0][int(rng.integers(2))])
    began, fault, outcome = time.process_time(), "", "read"
    try:
        pixels = open_radiograph(path, [None, 20][int(rng.integers(2))], display).pixels
        if pixels.ndim != 2 or not pixels.size or pixels.dtype not in (np.uint8, np.uint16):
            fault = f"pixels {pixels.dtype} {pixels.shape}"
    except StudyRefused as refused:
        outcome = str(refused)
        if "\n" in outcome or str(path) not in outcome or len(outcome) > 300 + len(str(path)) or "SECRET" in outcome.upper():
            fault = f"refusal {outcome!r}"
        outcome = outcome.split(":")[0]
    except BaseException as error:
        fault = repr(error)
    return {"seed": seed, "outcome": outcome, "fault": fault, "seconds": time.process_time() - began}


def run(start: int, stop: int) -> None:
    """Read mutations in this process, with 1 GB of memory above what it has now."""
    files = originals()
    held = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE") if Path("/proc/self/statm").exists() else 0
    if held:
        resource.setrlimit(resource.RLIMIT_AS, (held + MEGABYTES * 1_000_000, resource.getrlimit(resource.RLIMIT_AS)[1]))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mutated film"
        for seed in range(start, stop):
            path.write_bytes(mutated(files, seed))
            print(json.dumps({"begins": seed}), flush=True)
            line = read(path, seed)
            line["megabytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
            print(json.dumps(line), flush=True)


def watch(start: int, stop: int) -> list[dict[str, Any]]:
    """Read mutations in a process of their own; one that dies or hangs is a fault of the file that it was at, and the next goes on."""
    lines: list[dict[str, Any]] = []
    while start < stop:
        command = [*SHELL, sys.executable, "-m", "tests.corpus.films.test_fuzz_films", str(start), str(stop)]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0, start_new_session=True)
        assert process.stdout is not None
        selector = selectors.DefaultSelector()
        selector.register(process.stdout, selectors.EVENT_READ)
        text, at = b"", start - 1
        while True:
            ready = selector.select(PATIENCE)
            data = os.read(process.stdout.fileno(), 1 << 16) if ready else b""
            if not data:
                break
            text += data
            *whole, text = text.split(b"\n")
            for line in map(json.loads, whole):
                at = line.get("begins", at)
                if "outcome" in line:
                    lines.append(line)
        if not ready:
            os.killpg(process.pid, signal.SIGKILL)
        code = process.wait()
        if code == 0:
            return lines
        assert at >= start, f"the reader died with {code} before its first file"
        fault = f"process ended with {code}" if ready else "hangs"
        lines.append({"seed": at, "outcome": "died", "fault": fault, "seconds": 0.0 if ready else PATIENCE, "megabytes": 0.0})
        start = at + 1
    return lines


def check(start: int, stop: int) -> dict[str, Any]:
    lines = watch(start, stop)
    summary = {
        "files": len(lines),
        "outcomes": dict(Counter(line["outcome"] for line in lines).most_common()),
        "slowest_s": round(max(line["seconds"] for line in lines), 2),
        "peak_mb": round(max(line["megabytes"] for line in lines)),
        "faults": [(line["seed"], line["fault"][:200]) for line in lines if line["fault"]],
        "slow": [(line["seed"], round(line["seconds"], 1)) for line in lines if line["seconds"] > SECONDS],
    }
    print(json.dumps(summary))
    return summary


def _hold(summary: dict[str, Any], files: int) -> None:
    assert summary["files"] == files
    assert not summary["faults"]
    assert not summary["slow"]
    assert summary["peak_mb"] < MEGABYTES
    assert summary["outcomes"]["read"] > files // 20
    assert len(summary["outcomes"]) > 5


def test_150_mutated_films_are_read_or_refused() -> None:
    _hold(check(0, 150), 150)


@pytest.mark.parametrize("seed", [301, 769, 93, 13716, 25933])
def test_mutations_that_once_were_faults_stay_mended(seed: int, tmp_path: Path) -> None:
    """Header text in a refusal (301, 769), a side of no pixels (93), frames that end GDCM (13716, 25933)."""
    path = tmp_path / "mutated film"
    path.write_bytes(mutated(originals(), seed))
    assert not read(path, seed)["fault"]


@pytest.mark.slow
def test_2000_mutated_films_are_read_or_refused() -> None:
    _hold(check(0, 2000), 2000)


LARGEST = """
import resource, sys
from pathlib import Path
from sista.corpus.films.radiograph import open_radiograph
print(open_radiograph(Path(sys.argv[1])).pixels.size, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1000)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", ["native 12 bit", "native signed", "deflated", "RGBA PNG", "16-bit RGBA PNG", "progressive RGB JPEG", "JPEG 2000", "JPEG-LS"]
)
def test_the_largest_films_that_are_read_need_less_than_a_gigabyte(kind: str, tmp_path: Path) -> None:
    side = {"JPEG 2000": 6300, "JPEG-LS": 6300, "16-bit RGBA PNG": 3530}.get(kind, 9990)
    ramp = (np.arange(side, dtype=np.uint32)[:, None] // 7 + np.arange(side, dtype=np.uint32) // 5).astype(np.uint16) & 4095
    path = tmp_path / "film"
    if kind == "RGBA PNG":
        Image.fromarray((ramp >> 4).astype(np.uint8)).convert("RGBA").save(path, "PNG", compress_level=1)
    elif kind == "16-bit RGBA PNG":
        path.write_bytes(png_of_16_bits(np.repeat(ramp[:, :, None], 4, axis=2)))
    elif kind == "progressive RGB JPEG":
        Image.fromarray((ramp >> 4).astype(np.uint8)).convert("RGB").save(path, "JPEG", progressive=True, subsampling=0)
    else:
        syntaxes = {"deflated": "Deflated Explicit VR Little Endian", "JPEG 2000": "JPEG 2000 Lossless", "JPEG-LS": "JPEG-LS Lossless"}
        pixels, bits = (ramp.astype(np.int16), 16) if kind == "native signed" else (ramp, 12)
        path.write_bytes(to_bytes(dataset(pixels, bits), SYNTAXES[syntaxes.get(kind, "Explicit VR Little Endian")]))
    done = subprocess.run([*SHELL, sys.executable, "-c", LARGEST, str(path)], capture_output=True, text=True, check=True)
    size, megabytes = map(int, done.stdout.split())
    print(f"{kind}: {megabytes} MB")
    assert size == side * side
    assert megabytes < MEGABYTES


if __name__ == "__main__":
    run(int(sys.argv[1]), int(sys.argv[2]))

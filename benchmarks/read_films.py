"""How fast full-size films become 256 px: sista against OpenCV, PIL and torchvision, one thread, interleaved in one process.

    python benchmarks/read_films.py --out results/read_films.json

Films are made by code: 2,544 x 3,056 JPEG (quality 95) of smooth structure with film-like noise. What entropy decoding costs, which no
reader can save, goes with a film's bytes; so there are three grains, about 0.9, 1.2 and 1.5 MB a film (the mean of MIMIC-CXR-JPG is
1.5 MB), and the same films as uncompressed 12-bit DICOM. Every round reads every film by every reader in turn.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import numpy as np
import PIL
import torch
import torchvision
from PIL import Image
from torchvision.io import ImageReadMode, decode_jpeg, read_file
from torchvision.transforms.v2.functional import resize

from sista.corpus.films.radiograph import open_radiograph, resize_film

WIDTH, HEIGHT, SIZE = 2544, 3056, 256
GRAINS = {"fine grain": 0.5, "middle grain": 0.9, "coarse grain": 1.35}


def make_film(seed: int, grain: float) -> np.ndarray:
    """A 12-bit film [HEIGHT, WIDTH]: smooth body, ribs and vessels of several scales, quantum noise that grows with brightness."""
    rng = np.random.default_rng(seed)
    film = np.zeros((HEIGHT, WIDTH), dtype=np.float32)
    for scale, weight in ((6, 0.6), (24, 0.25), (96, 0.1), (380, 0.05)):
        small = rng.random((scale * HEIGHT // WIDTH + 2, scale + 2)).astype(np.float32)
        film += weight * cv2.resize(small, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    y, x = np.mgrid[-1 : 1 : HEIGHT * 1j, -1 : 1 : WIDTH * 1j].astype(np.float32)
    film = np.clip(film * (1.1 - 0.7 * (x**2 + y**2)), 0, 1)
    noise = cv2.GaussianBlur(rng.standard_normal((HEIGHT, WIDTH)).astype(np.float32), (0, 0), 0.7)
    return np.clip(3900 * film + grain * noise * (20 + 70 * np.sqrt(film)), 0, 4095).astype(np.uint16)


def new_size(width: int, height: int) -> tuple[int, int]:
    """Width and height with the long side SIZE."""
    scale = SIZE / max(width, height)
    return round(width * scale), round(height * scale)


def by_sista(path: Path) -> np.ndarray:
    return resize_film(open_radiograph(path, SIZE).pixels, SIZE)[0]


def by_opencv(path: Path) -> np.ndarray:
    film = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    return cv2.resize(film, new_size(film.shape[1], film.shape[0]), interpolation=cv2.INTER_AREA)


def by_opencv_reduced(path: Path) -> np.ndarray:
    film = cv2.imread(str(path), cv2.IMREAD_REDUCED_GRAYSCALE_8)
    return cv2.resize(film, new_size(film.shape[1], film.shape[0]), interpolation=cv2.INTER_AREA)


def by_pil(path: Path) -> np.ndarray:
    film = Image.open(path).convert("L")
    return np.asarray(film.resize(new_size(*film.size), Image.Resampling.BILINEAR))


def by_torchvision(path: Path) -> np.ndarray:
    film = decode_jpeg(read_file(str(path)), mode=ImageReadMode.GRAY)
    width, height = new_size(film.shape[2], film.shape[1])
    return resize(film, [height, width], antialias=True)[0].numpy()


def by_pydicom(path: Path) -> np.ndarray:
    """The usual way: pixels, window by pydicom, 8 bits, OpenCV."""
    import pydicom
    from pydicom.pixels import apply_voi_lut, pixel_array

    dataset = pydicom.dcmread(path)
    film = apply_voi_lut(pixel_array(dataset), dataset)
    film = (film / max(film.max(), 1) * 255).astype(np.uint8)
    return cv2.resize(film, new_size(film.shape[1], film.shape[0]), interpolation=cv2.INTER_AREA)


def write_dicom(film: np.ndarray, path: Path) -> None:
    from pydicom import uid
    from pydicom.dataset import Dataset, FileMetaDataset

    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = uid.DigitalXRayImageStorageForPresentation
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = uid.generate_uid(entropy_srcs=["read_films"])
    dataset.Rows, dataset.Columns = film.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PixelRepresentation = 1, "MONOCHROME2", 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.WindowCenter, dataset.WindowWidth = 2048, 4096
    dataset.PixelData = film.tobytes()
    dataset.save_as(path, enforce_file_format=True)


def measure(readers: dict[str, Callable[[Path], np.ndarray]], films: list[Path], rounds: int) -> dict[str, dict[str, float]]:
    """Median CPU and wall time of a film by each reader, and how often as fast as the second reader named it is.

    By CPU the ratio of the medians, by wall the median of the ratios of neighbouring reads, which a busy machine slows alike.
    """
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in readers}
    for number in range(rounds + 1):  # the first warms up
        for film in films:
            for name, read in readers.items():
                cpu, wall = time.process_time(), time.perf_counter()
                read(film)
                if number:
                    taken[name].append((time.process_time() - cpu, time.perf_counter() - wall))
    cpu = {name: statistics.median(one for one, _ in times) for name, times in taken.items()}
    wall = {name: statistics.median(one for _, one in times) for name, times in taken.items()}
    least = {name: min(one for _, one in times) for name, times in taken.items()}
    base = list(readers)[1]
    return {
        name: {
            "cpu_ms": round(cpu[name] * 1000, 2),
            "wall_ms": round(wall[name] * 1000, 2),
            "least_wall_ms": round(least[name] * 1000, 2),
            "films_per_cpu_second": round(1 / cpu[name], 1),
            "times_as_fast": round(cpu[base] / cpu[name], 2),
            "times_as_fast_by_wall": round(
                statistics.median(one[1] / two[1] for one, two in zip(taken[base], taken[name], strict=True)), 2
            ),
        }
        for name in readers
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--out", type=Path, default=Path("results/read_films.json"))
    settings = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    jpeg = {
        "sista": by_sista,
        "OpenCV full size, INTER_AREA": by_opencv,
        "PIL full size": by_pil,
        "torchvision full size": by_torchvision,
        "OpenCV reduced to 1/8": by_opencv_reduced,
    }
    with tempfile.TemporaryDirectory() as folder:
        films: dict[str, list[Path]] = {}
        dicoms = []
        for grain, amount in GRAINS.items():
            films[grain] = [Path(folder) / f"{grain} {seed}.jpg" for seed in range(settings.films)]
            for seed, path in enumerate(films[grain]):
                film = make_film(seed, amount)
                Image.fromarray((film >> 4).astype(np.uint8)).save(path, quality=95)
            dicoms.append(Path(folder) / f"{grain}.dcm")
            write_dicom(film, dicoms[-1])
        difference = [np.abs(by_sista(film).astype(int) - by_opencv(film)) for paths in films.values() for film in paths]
        result: dict[str, Any] = {
            "command": "python " + " ".join(sys.argv),
            "date": time.strftime("%Y-%m-%d"),
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; one thread per reader",
            "versions": {
                "python": platform.python_version(),
                "pillow": PIL.__version__,
                "opencv": cv2.__version__,
                "torchvision": torchvision.__version__,
            },
            "films": {"of each grain": settings.films, "rounds": settings.rounds, "pixels": [WIDTH, HEIGHT]},
            "gray_levels_from_opencv": {
                "mean": round(float(np.mean(difference)), 2),
                "p99": float(np.percentile(difference, 99)),
                "max": int(np.max(difference)),
            },
        }
        for grain, paths in films.items():
            name = f"JPEG, {grain}, {statistics.mean(path.stat().st_size for path in paths) / 1e6:.2f} MB"
            result[name] = measure(jpeg, paths, settings.rounds)
        result["DICOM, 12 bit, uncompressed"] = measure({"sista": by_sista, "pydicom, window, OpenCV": by_pydicom}, dicoms, settings.rounds)
    settings.out.parent.mkdir(parents=True, exist_ok=True)
    settings.out.write_text(json.dumps(result, indent=2) + "\n")
    for kind, rows in result.items():
        if not kind.startswith(("JPEG", "DICOM")):
            continue
        print(f"\n| {kind} to {SIZE} px | ms CPU | ms wall | films/s per core | times as fast | by wall |")
        print("|---|---|---|---|---|---|")
        for name, row in rows.items():
            figures = (row[key] for key in ("cpu_ms", "wall_ms", "films_per_cpu_second", "times_as_fast", "times_as_fast_by_wall"))
            print(f"| {name} | " + " | ".join(map(str, figures)) + " |")


if __name__ == "__main__":
    main()

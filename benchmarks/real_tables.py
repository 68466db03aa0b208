"""Tables of real films with labels, masks and boxes, for benchmarks/grids/real.yaml, out of a folder of open data sets.

    python benchmarks/real_tables.py --data data --out runs/real

Reads `covid/` and `hannover/` (lung masks), `nih/` (labels, and the opacity boxes of the RSNA challenge) and `kermany/` (normal,
bacterial, viral), each with an `images.csv` that has image, patient_id and split. Nothing is copied: `films` beside the tables is a link
to the data.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

NIH = ["Atelectasis", "Cardiomegaly", "Consolidation", "Effusion", "Infiltration", "Mass", "Nodule", "Pneumonia", "No_Finding"]


def films_of(data: Path, name: str) -> pd.DataFrame:
    """The rows of a set, their paths from the tables' folder."""
    frame = pd.read_csv(data / name / "images.csv", dtype=str, keep_default_na=False)
    frame["image"] = f"films/{name}/" + frame["image"]
    return frame


def main() -> None:
    """Write lungs.csv, opacity.csv, opacity_boxes.csv, nih.csv and kermany.csv."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    data, out = given.data.resolve(), given.out
    out.mkdir(parents=True, exist_ok=True)
    if not (out / "films").exists():
        (out / "films").symlink_to(data)

    lungs = []
    for name in ("covid", "hannover"):
        frame = films_of(data, name)
        frame = frame[frame["mask"] != ""].assign(mask=lambda held, name=name: f"films/{name}/" + held["mask"], lung=1)
        lungs.append(frame[["image", "patient_id", "split", "mask", "lung"]])
    pd.concat(lungs).to_csv(out / "lungs.csv", index=False)

    nih = films_of(data, "nih")
    nih[["image", "patient_id", "split", *NIH]].to_csv(out / "nih.csv", index=False)
    boxes = pd.read_csv(data / "nih" / "boxes.csv", dtype=str, keep_default_na=False)
    boxes = boxes[boxes["source"] == "rsna2018"].assign(image=lambda held: "films/nih/" + held["image"])
    boxes[["image", "label", "x", "y", "width", "height"]].to_csv(out / "opacity_boxes.csv", index=False)
    reviewed = nih[nih["rsna_id"] != ""]
    reviewed = reviewed.assign(**{"Lung Opacity": (reviewed["rsna_class"] == "Lung Opacity").astype(int)})
    reviewed[["image", "patient_id", "split", "Lung Opacity"]].to_csv(out / "opacity.csv", index=False)

    kermany = films_of(data, "kermany")
    for name, chosen in (
        ("normal", kermany["label"] == "NORMAL"),
        ("bacterial", kermany["cause"] == "bacterial"),
        ("viral", kermany["cause"] == "viral"),
    ):
        kermany[name] = chosen.astype(int)
    kermany[["image", "patient_id", "split", "normal", "bacterial", "viral"]].to_csv(out / "kermany.csv", index=False)


if __name__ == "__main__":
    main()

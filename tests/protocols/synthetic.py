"""Tables with the columns and row counts of the releases, ids and labels made up; nothing here is a real id."""

import functools

import numpy as np
import pandas as pd

CHEXPERT_COLUMNS = (
    *("No Finding", "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion", "Edema", "Consolidation", "Pneumonia"),
    *("Atelectasis", "Pneumothorax", "Pleural Effusion", "Pleural Other", "Fracture", "Support Devices"),
)
COMPETITION = ("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Pleural Effusion")


@functools.cache
def chexpert(rows=223_414, frontal=191_027, patients=64_540, folder="train", alone=300, seed=1, first=1):
    """CheXpert's train.csv: `alone` frontal rows per competition finding with nothing else, the others with two findings or none."""
    random = np.random.default_rng(seed)
    view = np.array(["Frontal"] * frontal + ["Lateral"] * (rows - frontal))[random.permutation(rows)]
    patient = np.sort(np.concatenate([np.arange(patients), random.integers(0, patients, rows - patients)]))
    names = [
        f"CheXpert-v1.0-small/{folder}/patient{first + p:05d}/study1/view{i}_{v.lower()}.jpg"
        for i, (p, v) in enumerate(zip(patient, view, strict=True))
    ]
    table = pd.DataFrame({"Path": names, "Sex": "Female", "Age": 60, "Frontal/Lateral": view, "AP/PA": "AP"})
    labels = np.full((rows, len(CHEXPERT_COLUMNS)), np.nan)
    labels[:, CHEXPERT_COLUMNS.index("Support Devices")] = random.choice([1, -1, np.nan], rows)
    labels[:, CHEXPERT_COLUMNS.index("Edema")] = random.choice([1, 0, -1], rows)
    labels[:, CHEXPERT_COLUMNS.index("Lung Opacity")] = 1
    chosen = random.choice(np.flatnonzero(view == "Frontal"), (len(COMPETITION), alone), replace=False)
    for name, where in zip(COMPETITION, chosen, strict=True):
        labels[where] = np.nan
        labels[where, CHEXPERT_COLUMNS.index(name)] = 1
    return pd.concat([table, pd.DataFrame(labels, columns=list(CHEXPERT_COLUMNS))], axis=1)


def chexpert_valid():
    return chexpert(234, 202, 200, "valid", alone=1, first=64_541)


def rsna(images=26_684, positive=6_012, boxes=9_555, seed=1):
    """stage_2_train_labels.csv: a row per box, or one row of Target 0."""
    random = np.random.default_rng(seed)
    ids = np.array([f"{i * 2654435761 % 2**32:08x}-0000-4000-8000-000000000000" for i in range(images)])
    sick = ids[random.permutation(images)[:positive]]
    rows = np.concatenate([np.setdiff1d(ids, sick), sick, random.choice(sick, boxes - positive)])
    has = np.isin(rows, sick)
    table = pd.DataFrame(
        {"patientId": rows, **{c: np.where(has, 10.0, np.nan) for c in ("x", "y", "width", "height")}, "Target": has.astype(int)}
    )
    return table.iloc[random.permutation(len(table))].reset_index(drop=True)


def rsna_mapping(table, patients=9_000, seed=1):
    """The challenge's own mapping file: films of `patients` NIH patients."""
    ids = np.unique(table["patientId"])
    owner = np.random.default_rng(seed).integers(1, patients + 1, len(ids))
    return pd.DataFrame({"subset_img_id": ids, "img_id": [f"{p:08d}_{k:03d}.png" for k, p in enumerate(owner)]})


def siim(images=12_047, positive=2_669, several=624, rows=12_954, seed=1, empty="-1"):
    """train-rle.csv, with the space in the header as released."""
    random = np.random.default_rng(seed)
    ids = np.array([f"1.2.276.0.7230010.3.1.4.{i}" for i in range(images)])
    sick = ids[random.permutation(images)[:positive]]
    many = sick[:several]
    more = np.concatenate([many, random.choice(many, rows - images - several)])
    names = np.concatenate([ids, more])
    masks = np.where(np.isin(names, sick), "100 5 1019 6", empty)
    order = random.permutation(len(names))
    return pd.DataFrame({"ImageId": names[order], " EncodedPixels": masks[order]})


def covidx(classes, patients, folder="train", seed=1):
    """Lines of a COVIDx label file: class -> images; patients have several."""
    random = np.random.default_rng(seed)
    kinds = np.repeat(list(classes), list(classes.values()))
    return pd.DataFrame(
        {
            "patient id": random.integers(0, patients, len(kinds)).astype(str),
            "filename": [f"{folder}{i}.png" for i in range(len(kinds))],
            "class": kinds[random.permutation(len(kinds))],
            "data source": random.choice(["rsna", "cohen"], len(kinds)),
        }
    )


def object_cxr(images=8_000, start=0):
    annotation = np.where(np.arange(images) % 2 == 0, "0 10 10 20 20", None)
    return pd.DataFrame({"image_name": [f"{start + i:05d}.jpg" for i in range(images)], "annotation": annotation})


def siim_png(images, split, start=0):
    sick = np.arange(images) % 5 == 0
    names = [f"{start + i}_{split}_{int(s)}_.png" for i, s in enumerate(sick)]
    return pd.DataFrame({"new_filename": names, "ImageId": [f"1.2.{start + i}" for i in range(images)], "has_pneumo": sick.astype(int)})


def vindr(images, start=0):
    """annotations_train.csv: three readers an image."""
    ids = np.repeat([f"{start + i:032x}" for i in range(images)], 3)
    found = np.where((np.arange(images * 3) // 3) % 3 == 0, "Cardiomegaly", "No finding")
    return pd.DataFrame({"image_id": ids, "rad_id": "R1", "class_name": found})


def tbx(images=8_399):
    target = np.where(np.arange(images) % 9 == 0, "tb", "no_tb")
    return pd.DataFrame({"fname": [f"s{i:04d}.png" for i in range(images)], "target": target})


def nih(films=1_500, patients=400, seed=1):
    random = np.random.default_rng(seed)
    patient = np.sort(np.concatenate([np.arange(1, patients + 1), random.integers(1, patients + 1, films - patients)]))
    number = np.arange(films) - np.searchsorted(patient, patient)
    kinds = ["No Finding", "Infiltration", "Effusion|Mass", "Hernia", "Atelectasis"]
    finding = random.choice(kinds, films, p=[0.6, 0.2, 0.1, 0.01, 0.09])
    names = [f"{p:08d}_{n:03d}.png" for p, n in zip(patient, number, strict=True)]
    return pd.DataFrame({"Image Index": names, "Finding Labels": finding, "Follow-up #": number, "Patient ID": patient})

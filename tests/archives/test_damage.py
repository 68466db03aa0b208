"""Tables with a few bytes changed: each reader reads on, refuses studies, or says in a SistaError what is wrong; it never crashes."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from sista.archives.chexpert import CheXpert
from sista.archives.covidx import Covidx
from sista.archives.mimic_cxr import MimicCxr
from sista.archives.nih import Nih
from sista.archives.object_cxr import ObjectCxr
from sista.archives.openi import OpenI
from sista.archives.release import Release
from sista.archives.rsna import Rsna
from sista.archives.siim import Siim
from sista.archives.vindr import VinDr
from sista.errors import SistaError
from tests.archives import test_chexpert, test_nih, test_openi, test_rsna, test_siim, test_vindr
from tests.archives.miniature import refusals, text

MUTATIONS = 25  # per archive; 800 each were tried once by hand
SIGNS = [b",", b"\n", b'"', b"-1", b"nan", b"\xff", b"\0", b" ", b"9" * 30, b"", b";", b"<", b"\t", b"1e400", b"None"]
OBJECTS = "image_name,annotation\n1.jpg,0 2 3 10 8;2 4 4 20 4 20 15 5 12\n2.jpg,\n3.jpg,1 2 2 12 10\n"
MIMIC_FILMS = "dicom_id,subject_id,study_id,ViewPosition,StudyDate,StudyTime\nf1,10000032,5,AP,21800506,1\nf2,10000032,6,PA,21800507,2.5\n"
LABELS = "subject_id,study_id," + ",".join(test_chexpert.OBSERVATIONS) + "\n10000032,5,1.0" + "," * 13 + "\n"


def mimic(root: Path) -> Release:
    (root / "p10").mkdir(exist_ok=True)
    return MimicCxr(root, root)


CASES: dict[str, tuple[Callable[[Path], Release], dict[str, str]]] = {
    "chexpert": (CheXpert, {"train.csv": test_chexpert.HEADER + 2 * test_chexpert.row("C/patient1/study1/v.jpg", labels="Edema=1.0")}),
    "covidx": (Covidx, {"train.txt": "1 a.png pneumonia cohen\n2 b.png normal rsna\n", "test.txt": "3,c.png,COVID-19,x\n"}),
    "mimic_cxr": (
        mimic,
        {
            "mimic-cxr-2.0.0-metadata.csv": MIMIC_FILMS,
            "mimic-cxr-2.0.0-split.csv": "dicom_id,study_id,subject_id,split\nf1,5,10000032,train\nf2,6,10000032,train\n",
            "mimic-cxr-2.0.0-chexpert.csv": LABELS,
        },
    ),
    "nih": (Nih, {"Data_Entry_2017.csv": test_nih.HEADER_2017 + test_nih.ROWS, "BBox_List_2017.csv": test_nih.BOXES}),
    "object_cxr": (ObjectCxr, {"train.csv": OBJECTS}),
    "openi": (lambda root: OpenI(root, text_only=True), {"2.xml": test_openi.REPORTS["2.xml"]}),
    "rsna": (Rsna, {"stage_2_train_labels.csv": test_rsna.TABLE}),
    "siim": (lambda root: Siim(root, film_size=8), {"train-rle.csv": test_siim.TABLE}),
    "vindr": (VinDr, {"train.csv": test_vindr.KAGGLE}),
    "vindr of physionet": (VinDr, test_vindr.PHYSIONET),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.filterwarnings("error")
def test_damaged_tables_never_crash_a_reader(name: str, tmp_path: Path) -> None:
    read, files = CASES[name]
    outcomes = []
    for seed in range(MUTATIONS):
        draw = random.Random(f"{name} {seed}")
        chosen = draw.choice(sorted(files))
        for file, content in files.items():
            path, data = text(tmp_path / file, content), content.encode()
            if file == chosen:
                for _ in range(draw.randint(1, 3) if seed else 0):  # the first as it is
                    place = draw.randrange(len(data) + 1)
                    data = data[:place] + draw.choice(SIGNS) + data[place + draw.randint(0, 3) :]
                path.write_bytes(data)
        try:
            archive = read(tmp_path)
            refusals(archive)
            repr(archive)
            outcomes.append("read")
        except SistaError as error:
            outcomes.append("named" if str(tmp_path) in str(error) else str(error))
    assert set(outcomes) <= {"read", "named"}
    assert outcomes[0] == "read"

"""Published numbers, copied as printed: percent at 1 % / 10 % / 100 % of the labels, with the place each row was read in.

Most baseline rows are copied there from earlier papers, so two rows of one method are not two independent runs. No row of SISTA and
no full table of PRIOR, MLIP and IMITATE could be found.
"""

from __future__ import annotations

from sista.protocols.protocol import Score

SOURCES = {
    "G2D": "arXiv 2312.01522 (NeurIPS 2024), tables",
    "G2D appendix": "arXiv 2312.01522 (NeurIPS 2024), appendix",
    "FaNe": "note on arXiv 2511.12215 in github.com/zhaoyang97/Paper-Notes-en",
    "ASG": "README of the Anatomical Structure-Guided repository (MICCAI 2024)",
    "BenchX": "arXiv 2410.21969",
    "sista": "own calculation from the metric's code and the published counts",
}

# method | CheXpert AUROC | RSNA AUROC | COVIDx accuracy | source
_CLASSIFICATION = """
random init | 56.1 / 62.6 / 65.7 | 58.9 / 69.4 / 74.1 | 50.5 / 60.3 / 70.0 | G2D
ImageNet init | 74.4 / 79.7 / 81.4 | 74.9 / 74.5 / 76.3 | 64.8 / 78.8 / 86.3 | G2D
ConVIRT | 85.9 / 86.8 / 87.3 | 77.4 / 80.1 / 81.3 | 72.5 / 82.5 / 92.0 | G2D
GLoRIA | 86.6 / 87.8 / 88.1 | 86.1 / 88.0 / 88.6 | 67.3 / 77.8 / 89.0 | G2D
GLoRIA-MIMIC | 87.1 / 88.7 / 88.0 | 87.0 / 89.4 / 90.2 | 66.5 / 80.5 / 88.8 | G2D
MGCA (R50) | 87.6 / 88.0 / 88.2 | 88.6 / 89.1 / 89.9 | 72.0 / 83.5 / 90.5 | G2D
MGCA (R50), ASG's copy | - | 87.6 / 88.6 / 89.8 | - | ASG
MGCA (ViT) | 88.8 / 89.1 / 89.7 | 88.6 / 89.5 / 90.0 | 74.8 / 84.8 / 92.3 | ASG
MRM | 88.5 / 88.5 / 88.7 | 91.3 / 92.7 / 93.3 | 66.9 / 79.3 / 90.8 | G2D
MRM, ASG's run | 88.5 / 88.5 / 88.7 | 87.2 / 88.7 / 89.7 | 79.0 / 85.5 / 92.5 | ASG
MedKLIP | 86.2 / 86.5 / 87.7 | 87.3 / 88.0 / 89.3 | 74.5 / 85.2 / 90.3 | G2D
MedKLIP, ASG's run | 82.3 / 85.4 / 87.3 | 83.3 / 86.6 / 88.1 | 74.5 / 83.5 / 91.3 | ASG
MedCLIP | 87.1 / 87.6 / 88.1 | 87.0 / 88.6 / 89.2 | 73.5 / 82.3 / 91.3 | ASG
KAD | 87.2 / 88.6 / 88.7 | 86.7 / 88.7 / 89.9 | 73.5 / 83.0 / 90.5 | ASG
ASG (CNN) | 87.7 / 88.2 / 88.7 | 87.2 / 88.8 / 89.7 | 77.3 / 84.8 / 93.3 | ASG
ASG (ViT) | 87.9 / 89.0 / 89.0 | 88.4 / 89.5 / 90.2 | 81.3 / 87.0 / 93.3 | ASG
G2D | 89.7 / 90.4 / 91.1 | 92.2 / 92.9 / 93.6 | 76.6 / 88.2 / 93.4 | G2D
FaNe (R50) | 88.2 / 89.1 / 89.9 | 88.9 / 89.8 / 92.6 | 78.2 / 89.1 / 94.0 | FaNe
FaNe (ViT) | 89.7 / 90.4 / 90.8 | 89.3 / 90.2 / 93.1 | 79.5 / 90.7 / 95.5 | FaNe
"""

# method | SIIM Dice | RSNA Dice | source
_SEGMENTATION = """
random init | 9.0 / 28.6 / 54.3 | 6.9 / 10.6 / 18.5 | G2D
ImageNet init | 10.2 / 35.5 / 63.5 | 34.8 / 39.9 / 64.0 | G2D
ConVIRT | 25.0 / 43.2 / 59.9 | 55.0 / 67.4 / 67.5 | G2D
GLoRIA | 35.8 / 46.9 / 63.4 | 59.3 / 67.5 / 67.8 | G2D
GLoRIA-MIMIC | 37.4 / 57.1 / 64.0 | 60.3 / 68.7 / 68.3 | G2D
MGCA (R50) | 49.7 / 59.3 / 64.2 | 63.0 / 68.3 / 69.8 | G2D
MGCA (ViT) | 60.1 / 65.4 / 69.6 | 69.3 / 70.0 / 72.3 | ASG
M-FLAG | 52.5 / 61.2 / 64.8 | 64.6 / 69.7 / 70.5 | G2D
MedKLIP, frozen | 50.2 / 60.8 / 63.9 | 66.2 / 69.4 / 71.9 | G2D
MLIP | 51.6 / 60.8 / 68.1 | 67.7 / 68.8 / 73.5 | FaNe
IMITATE | 53.9 / 61.7 / 64.5 | 70.5 / 71.4 / 73.8 | FaNe
FaNe | 54.1 / 62.3 / 68.8 | 69.5 / 72.4 / 74.1 | FaNe
G2D, encoder only | 62.6 / 63.1 / 66.8 | 70.9 / 72.6 / 75.1 | G2D
G2D, encoder + decoder | 65.6 / 66.9 / 68.4 | 72.8 / 73.4 / 76.9 | G2D
MedCLIP | 51.2 / 62.6 / 67.6 | 65.7 / 68.6 / 69.6 | ASG
KAD | 58.4 / 68.2 / 69.9 | 67.9 / 68.5 / 70.3 | ASG
ASG (CNN) | 60.7 / 66.7 / 73.6 | 68.4 / 69.9 / 72.6 | ASG
MRM (ViT) | 68.3 / 69.5 / 72.2 | 69.5 / 69.2 / 70.6 | ASG
ASG (ViT) | 71.9 / 74.7 / 75.6 | 71.7 / 72.3 / 72.8 | ASG
MedKLIP, fully fine-tuned | 66.6 / 72.1 / 79.4 | 70.6 / 71.6 / 75.8 | G2D appendix
"""

# method | RSNA mAP | Object-CXR mAP | source
_DETECTION = """
random init | 1.0 / 4.0 / 8.9 | <1 / 0.5 / 4.4 | G2D
ImageNet init | 3.6 / 8.0 / 15.7 | <1 / 2.9 / 8.3 | G2D
ConVIRT | 8.2 / 15.6 / 17.9 | <1 / 8.6 / 15.9 | G2D
GLoRIA | 9.8 / 14.8 / 18.8 | <1 / 10.6 / 15.6 | G2D
GLoRIA-MIMIC | 11.6 / 16.1 / 24.8 | <1 / 8.9 / 16.6 | G2D
MGCA | 12.9 / 16.8 / 24.9 | <1 / 12.1 / 19.2 | G2D
M-FLAG | 13.7 / 17.5 / 25.4 | <1 / 12.4 / 19.3 | G2D
MedKLIP | 8.9 / 16.3 / 24.5 | <1 / 7.1 / 11.6 | G2D
MLIP | 17.2 / 19.1 / 25.8 | - | FaNe
IMITATE | 15.3 / 19.7 / 26.4 | - | FaNe
FaNe | 16.4 / 20.6 / 27.2 | - | FaNe
G2D | 15.9 / 21.7 / 27.2 | 3.8 / 13.1 / 20.4 | G2D
"""

# method | NIH AUROC | source
_NIH_LINEAR = """
MedCLIP | 76.5 / 80.5 / 82.1 | ASG
KAD | 78.7 / 80.7 / 82.5 | ASG
MGCA (R50) | 77.7 / 80.8 / 82.6 | ASG
MGCA (ViT) | 78.9 / 82.1 / 83.5 | ASG
"""
_NIH_TUNED = """
ConVIRT | 64.9 / 77.1 / 80.8 | G2D
GLoRIA | 59.7 / 74.3 / 80.0 | G2D
MedKLIP | 60.9 / 74.8 / 80.1 | G2D
KAD | 78.7 / 80.7 / 82.5 | G2D
G2D | 79.1 / 81.1 / 83.1 | G2D
"""
_NIH_BENCHX = """
ConVIRT | 77.0 / 81.5 / 84.2 | BenchX
MGCA (R50) | 73.2 / 79.9 / 83.5 | BenchX
MGCA (ViT) | 78.2 / 82.4 / 84.4 | BenchX
MRM | 80.1 / 83.5 / 85.3 | BenchX
"""
_VINDR_BENCHX = """
ConVIRT | 88.1 / 90.5 / 90.9 | BenchX
MGCA (ViT) | 88.3 / 91.5 / 91.8 | BenchX
"""


def _column(table: str, number: int = 1) -> tuple[Score, ...]:
    rows = [[cell.strip() for cell in line.split("|")] for line in table.strip().splitlines()]
    return tuple(Score(row[0], row[number], row[-1]) for row in rows if row[number] != "-")


CHEXPERT_AUROC = _column(_CLASSIFICATION, 1)
RSNA_AUROC = _column(_CLASSIFICATION, 2)
COVIDX_ACCURACY = _column(_CLASSIFICATION, 3)
SIIM_DICE = (*_column(_SEGMENTATION, 1), Score("nothing predicted (whole set)", "77.8 / 77.8 / 77.8", "sista"))
RSNA_DICE = (*_column(_SEGMENTATION, 2), Score("nothing predicted (whole set)", "77.5 / 77.5 / 77.5", "sista"))
RSNA_MAP = _column(_DETECTION, 1)
OBJECT_CXR_MAP = _column(_DETECTION, 2)
NIH_LINEAR_AUROC = _column(_NIH_LINEAR)
NIH_TUNED_AUROC = _column(_NIH_TUNED)
NIH_BENCHX_AUROC = _column(_NIH_BENCHX)
VINDR_BENCHX_AUROC = _column(_VINDR_BENCHX)
# at 100 % only: mean Dice over background and foreground
OBJECT_CXR_BENCHX_DICE = (Score("MGCA (R50)", "- / - / 80.27", "BenchX"),)
RSNA_BENCHX_DICE = (Score("MGCA (R50)", "- / - / 75.04", "BenchX"),)
SIIM_BENCHX_DICE = (Score("MGCA (R50)", "- / - / 77.04", "BenchX"),)

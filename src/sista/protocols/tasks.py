"""How each family of protocols trains and scores, as its authors state or code it."""

from __future__ import annotations

from dataclasses import replace

from sista.protocols import published
from sista.protocols.protocol import Task

_MGCA_ADAMW = "AdamW, weight decay 1e-6, 50 epochs, no schedule, early stop with patience 10, seed 42"

# uncertain labels of the five CheXpert competition findings, as in the CheXpert paper's best policies and MGCA's constants
CHEXPERT_UNCERTAIN = {"Atelectasis": 1, "Cardiomegaly": 0, "Consolidation": 0, "Edema": 1, "Pleural Effusion": 1}

LINEAR = Task(
    name="linear classification",
    metric="AUROC",
    image_size=224,
    preprocessing="long side to 256, black padding to a square, random (train) or central crop of 224, values to [-1, 1]",
    head="one linear layer on the frozen image encoder in evaluation mode",
    loss="binary cross-entropy",
    optimiser=f"{_MGCA_ADAMW}, learning rate 5e-4, batch 48 (FaNe 96 at 100 %, G2D and Med-UniC 8), best validation loss",
)
CHEXPERT_LINEAR = replace(
    LINEAR,
    metric="macro AUROC over the five labels",
    preprocessing=LINEAR.preprocessing + "; train also colour jitter (0.4, 0.4, 0.4, 0.1; p 0.8), grey 0.2, blur 0.5, flip; frontal only",
    labels=tuple(CHEXPERT_UNCERTAIN),
    label_policy="uncertain: Atelectasis 1, Cardiomegaly 0, Consolidation 0, Edema 1, Pleural Effusion 1; blank: 0",
    scores=published.CHEXPERT_AUROC,
)
RSNA_LINEAR = replace(LINEAR, loss="binary cross-entropy, one logit", labels=("Pneumonia",), scores=published.RSNA_AUROC)
COVIDX_LINEAR = replace(
    LINEAR,
    metric="accuracy",
    loss="cross-entropy",
    labels=("normal", "pneumonia", "COVID-19"),
    label_policy="9A and earlier have three classes; releases of two classes (negative, positive) give another task: state the release",
    scores=published.COVIDX_ACCURACY,
)
NIH_LINEAR = replace(LINEAR, metric="macro AUROC over 14 labels", scores=published.NIH_LINEAR_AUROC)

SEGMENTATION = Task(
    name="segmentation",
    metric="Dice at 0.5 per image (1 for an empty prediction on an empty mask, else 0), averaged per batch and then over batches",
    image_size=224,
    preprocessing="plain resize to 224 (GLoRIA and Med-UniC 512); train: scale 0.1, rotation 10 degrees, p 0.5",
    head="frozen encoder; ResNet-50: U-Net of segmentation_models_pytorch; ViT: SETR-PUP style, channels 512-256-128-64",
    loss="10 x focal (gamma 2) - log(soft Dice over the batch, smooth 1)",
    optimiser="AdamW, learning rate 5e-4, weight decay 0.05 by command line (1e-6 in the class), batch 8 (SIIM) or 16 (RSNA), 50 epochs, "
    "early stop on validation loss with patience 10",
)
SIIM_SEGMENTATION = replace(
    SEGMENTATION,
    labels=("Pneumothorax",),
    label_policy="train = all positives and as many negatives (drawn from NumPy's global generator), then the share; valid and test whole",
    scores=published.SIIM_DICE,
)
RSNA_SEGMENTATION = replace(SEGMENTATION, labels=("Pneumonia",), label_policy="mask = the filled boxes", scores=published.RSNA_DICE)

DETECTION = Task(
    name="detection",
    metric="mAP averaged over IoU 0.40 to 0.75 in steps of 0.05; scores under 0.5 cut, NMS 0.5, images without boxes or detections skipped",
    image_size=224,
    preprocessing="plain resize to 224",
    head="YOLOv3, three scales on stages 2 to 4 of a frozen ResNet-50 (BatchNorm left in train mode), COCO anchors x 224/416, one class",
    loss="xy 2.5, wh 2.5, objectness 1, class 1, no object 0.5; ignore threshold 0.5",
    optimiser="AdamW, weight decay 1e-6, learning rate 5e-4, batch 16 (at 1 %: RSNA 2e-4 and 8, Object-CXR 2.5e-4 and 8), 50 epochs, "
    "early stop on validation mAP with patience 10",
)
RSNA_DETECTION = replace(DETECTION, labels=("Pneumonia",), label_policy="true boxes padded to 10 an image", scores=published.RSNA_MAP)
OBJECT_CXR_DETECTION = replace(
    DETECTION,
    labels=("foreign object",),
    label_policy="true boxes padded to 20 an image; polygons become boxes round a representative inner point",
    scores=published.OBJECT_CXR_MAP,
)

NIH_FINE_TUNING = Task(
    name="classification, fully fine-tuned",
    metric="macro AUROC over 14 labels",
    image_size=224,
    preprocessing="resize to 224",
    head="one linear layer, encoder trained along",
    loss="binary cross-entropy",
    optimiser="not stated in what we could read",
    scores=published.NIH_TUNED_AUROC,
)
MRM_FINE_TUNING = replace(
    NIH_FINE_TUNING,
    optimiser="batch 96, fp16; 1 %: learning rate 3e-2, 3,000 steps, 50 of warm-up; 100 %: 3e-3, 200,000 and 5,000",
    scores=tuple(score for score in published.NIH_BENCHX_AUROC if score.method == "MRM"),
)

BENCHX_CLASSIFICATION = Task(
    name="classification, fully fine-tuned",
    metric="macro AUROC",
    image_size=224,
    preprocessing="resize to 224",
    head="one linear layer, encoder trained along",
    loss="binary cross-entropy, cross-entropy for COVIDx",
    optimiser="grid search per method and data set; MGCA on NIH: Adam, learning rate 1e-5, batch 32, warm-up 50 steps, cosine, seed 42",
)
BENCHX_SEGMENTATION = Task(
    name="segmentation",
    metric="mean Dice over background and foreground (mmsegmentation)",
    image_size=512,
    preprocessing="resize to 512",
    head="UperNet on a frozen encoder",
    loss="as mmsegmentation's UperNet",
    optimiser="ResNet-50 on SIIM: AdamW, 1e-3, weight decay 0.05, batch 8, 20,000 steps (1,500 of warm-up), best mean Dice",
)

"""Names of tensors in other people's checkpoints, and what timm calls the same tensors.

A name is a prefix (where in their model the image encoder sits, `LAYOUTS`) and the rest (how the encoder itself names its parts,
`DIALECTS`). Verified means: read in the method's public code or in a public loader of its released file, not downloaded and loaded here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
RAW = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
PIXELS = {"torchvision ViT": IMAGENET}  # by dialect, where timm's model of that name has others


@dataclass(frozen=True)
class Layout:
    """Where one project keeps its image encoder, and how it normalises pixels of 0 to 1 (mean, standard deviation; None: as timm's)."""

    name: str
    prefix: str
    verified: bool
    pixels: tuple[tuple[float, ...], tuple[float, ...]] | None = None


LAYOUTS: tuple[Layout, ...] = (
    Layout("MGCA", "img_encoder_q.model.", True, HALF),  # HKU-MedAI/MGCA mgca_segmenter.py, transforms.py. FaNe builds on it (inferred)
    Layout("GLoRIA", "gloria.img_encoder.model.", True, HALF),  # marshuang80/gloria gloria.py; `norm: half` in its pre-training config
    Layout("ConVIRT in MGCA's code", "img_encoder.model.", True, HALF),  # mgca/models/convirt/convirt_module.py; also bare GLoRIA
    Layout("ConVIRT in BenchX", "visual.model.", True, None),  # the prefix in BenchX's converter; its pixels are not stated
    Layout("ConVIRT-pytorch", "res_features.", True, None),  # edreisMD/ConVIRT-pytorch models/model.py; children by number
    Layout("MedKLIP", "module.res_features.", True, None),  # BenchX's converter; three stages only: refused unless `least` is lower
    # BenchX's converter (its ResNet); RyanWangZf/MedCLIP constants.py, pixels of its feature extractor
    Layout("MedCLIP", "vision_model.model.", True, ((0.5862785803043838,) * 3, (0.27950088968644304,) * 3)),
    Layout("BioViL", "encoder.encoder.", True, RAW),  # microsoft/hi-ml image/model/model.py: ImageModel.encoder.encoder; pixels 0 to 1
    Layout("MoCo", "module.encoder_q.", True, None),  # facebookresearch/moco
    Layout("FaNe", "image_encoder.model.", False, None),  # no public code was found
    Layout("transformers", "vit.", True, None),
    Layout("transformers", "resnet.", True, None),
    Layout("timm, torchvision or transformers", "", True, None),
)

# dialect: (pattern, replacement) on the rest of a name; every rule is tried, the first that fits is used
Rules = tuple[tuple[str, str], ...]
DIALECTS: dict[str, Rules] = {
    "timm or torchvision ResNet": ((r"^blocks(\d)\.", r"layer\1."), (r"^(.*)$", r"\1")),
    "children by number": (
        (r"^0\.(.*)$", r"conv1.\1"),
        (r"^1\.(.*)$", r"bn1.\1"),
        *((rf"^{number}\.(.*)$", rf"layer{number - 3}.\1") for number in (4, 5, 6, 7)),
    ),
    "torchvision ViT": (
        (r"^class_token$", "cls_token"),
        (r"^encoder\.pos_embedding$", "pos_embed"),
        (r"^conv_proj\.(.*)$", r"patch_embed.proj.\1"),
        (r"^encoder\.layers\.encoder_layer_(\d+)\.ln_([12])\.(.*)$", r"blocks.\1.norm\2.\3"),
        (r"^encoder\.layers\.encoder_layer_(\d+)\.self_attention\.in_proj_(weight|bias)$", r"blocks.\1.attn.qkv.\2"),
        (r"^encoder\.layers\.encoder_layer_(\d+)\.self_attention\.out_proj\.(.*)$", r"blocks.\1.attn.proj.\2"),
        (r"^encoder\.layers\.encoder_layer_(\d+)\.mlp\.(?:linear_1|0)\.(.*)$", r"blocks.\1.mlp.fc1.\2"),
        (r"^encoder\.layers\.encoder_layer_(\d+)\.mlp\.(?:linear_2|3)\.(.*)$", r"blocks.\1.mlp.fc2.\2"),
        (r"^encoder\.ln\.(.*)$", r"norm.\1"),
    ),
    "transformers ViT": (
        (r"^embeddings\.cls_token$", "cls_token"),
        (r"^embeddings\.position_embeddings$", "pos_embed"),
        (r"^embeddings\.patch_embeddings\.projection\.(.*)$", r"patch_embed.proj.\1"),
        (r"^(?:encoder\.layer|layers)\.(\d+)\.attention\.attention\.(query|key|value)\.(.*)$", r"blocks.\1.attn.\2.\3"),
        (r"^(?:encoder\.layer|layers)\.(\d+)\.attention\.q_proj\.(.*)$", r"blocks.\1.attn.query.\2"),
        (r"^(?:encoder\.layer|layers)\.(\d+)\.attention\.k_proj\.(.*)$", r"blocks.\1.attn.key.\2"),
        (r"^(?:encoder\.layer|layers)\.(\d+)\.attention\.v_proj\.(.*)$", r"blocks.\1.attn.value.\2"),
        (r"^(?:encoder\.layer|layers)\.(\d+)\.attention\.(?:output\.dense|o_proj)\.(.*)$", r"blocks.\1.attn.proj.\2"),
        (r"^(?:encoder\.layer|layers)\.(\d+)\.layernorm_before\.(.*)$", r"blocks.\1.norm1.\2"),
        (r"^(?:encoder\.layer|layers)\.(\d+)\.layernorm_after\.(.*)$", r"blocks.\1.norm2.\2"),
        (r"^(?:encoder\.layer|layers)\.(\d+)\.(?:intermediate\.dense|mlp\.fc1)\.(.*)$", r"blocks.\1.mlp.fc1.\2"),
        (r"^(?:encoder\.layer|layers)\.(\d+)\.(?:output\.dense|mlp\.fc2)\.(.*)$", r"blocks.\1.mlp.fc2.\2"),
        (r"^layernorm\.(.*)$", r"norm.\1"),
    ),
    "transformers ResNet": (
        (r"^embedder\.embedder\.convolution\.(.*)$", r"conv1.\1"),
        (r"^embedder\.embedder\.normalization\.(.*)$", r"bn1.\1"),
        *(
            (rf"^encoder\.stages\.{s}\.layers\.(\d+)\.layer\.{j}\.{theirs}\.(.*)$", rf"layer{s + 1}.\1.{ours}{j + 1}.\2")
            for s in range(4)
            for j in range(3)
            for theirs, ours in (("convolution", "conv"), ("normalization", "bn"))
        ),
        *(
            (rf"^encoder\.stages\.{s}\.layers\.(\d+)\.shortcut\.{theirs}\.(.*)$", rf"layer{s + 1}.\1.downsample.{number}.\2")
            for s in range(4)
            for number, theirs in enumerate(("convolution", "normalization"))
        ),
    ),
}


def translate(state: Mapping[str, Tensor], prefix: str, dialect: str) -> tuple[dict[str, Tensor], dict[str, tuple[str, ...]]]:
    """timm's names for what lies under `prefix`, and from each of these the names it came from; query, key and value become one."""
    ours: dict[str, Tensor] = {}
    source: dict[str, tuple[str, ...]] = {}
    rules = [(re.compile(pattern), replacement) for pattern, replacement in DIALECTS[dialect]]
    for name, tensor in state.items():
        if not name.startswith(prefix):
            continue
        rest = name[len(prefix) :]
        found = next(((pattern, replacement) for pattern, replacement in rules if pattern.match(rest)), None)
        if found:
            key = found[0].sub(found[1], rest)
            ours[key], source[key] = tensor, (name,)
    for name in [key for key in ours if ".attn.query." in key]:
        parts = [name.replace(".query.", f".{part}.") for part in ("query", "key", "value")]
        if all(part in ours for part in parts):
            fused = name.replace(".query.", ".qkv.")
            ours[fused] = torch.cat([ours.pop(part) for part in parts])
            source[fused] = tuple(old for part in parts for old in source.pop(part))
    return ours, source


def prefixes(state: Mapping[str, Tensor], depth: int = 4) -> list[str]:
    """Every dotted beginning of the names, up to `depth` parts, and the empty one: where an encoder may sit. Known layouts come first."""
    found = {""}
    for name in state:
        parts = name.split(".")[:-1]
        found |= {".".join(parts[:length]) + "." for length in range(1, min(depth, len(parts)) + 1)}
    known = {layout.prefix for layout in LAYOUTS}
    return sorted(found, key=lambda prefix: (prefix not in known, prefix))


def layout_of(prefix: str) -> Layout:
    """The known layout with this prefix, or an unknown one."""
    return next((layout for layout in LAYOUTS if layout.prefix == prefix), Layout("unknown", prefix, False))

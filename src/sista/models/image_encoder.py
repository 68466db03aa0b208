"""Any timm image model behind one contract: a pooled vector, patch vectors with their grid, and a pyramid of maps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sista.errors import SistaError, nearest
from sista.models import stem
from sista.models.pixels import fold_pixels, one_channel, require_plain
from sista.models.receptive_field import PatchCentres, patch_centres, reductions


@dataclass(frozen=True)
class ImageFeatures:
    """pooled [B,C]; patches [B,P,C'], row by row over `grid` = (rows, columns); those of its last stage or block, or deeper [B,Q,C'']."""

    pooled: Float[Tensor, "b c"]
    patches: Float[Tensor, "b p e"]
    grid: tuple[int, int]
    deepest: Float[Tensor, "b q f"]


SOURCES = ("local-dir:", "hf-hub:", "hf_hub:")  # names of timm that say where weights and arguments come from
OURS = ("img_size", "num_classes", "in_chans")  # arguments of timm that are given anew


class ImageEncoder(nn.Module):
    """A timm model by name, on one-channel films normalised by 0.5 and 0.25. `pretrained` weights of timm's are made to expect those.

    `patch_stride` picks the patches of a hierarchical model: the deepest stage whose stride does not exceed it (16: the third stage of a
    ResNet, as MGCA). A plain vision transformer has its tokens: those of its last block, or as they leave block `patch_block`, counted
    from 1, normalised by its last layer norm if it has one; 0: as they leave the patch embedding (a convolutional stem, or one linear
    map), before attention has brought anything to them from elsewhere. The pooled vector and the pyramid are of the last block either way.
    The deepest patches are those of the last stage or block, or of `sista_compact`, of the map that the pooled vector is read from.
    `width` is the size of the pooled vector, `patch_width` that of a patch, `deepest_width` that of one of the deepest, `grid` the patches'
    (rows, columns) at `image_size`, `centres` (down, right) where on the film those look.
    """

    def __init__(
        self,
        name: str,
        *,
        image_size: int,
        pretrained: bool = False,
        patch_stride: int = 16,
        patch_block: int | None = None,
        options: dict[str, Any] | None = None,
    ):
        super().__init__()
        self.name, self.image_size, self.options = name, image_size, dict(options or {})
        self.patch_stride, self.patch_block = patch_stride, patch_block
        self.model = _create(name, image_size, pretrained, self.options)
        if not torch.cuda.is_available():  # on CPUs plain products beat the fused kernel (benchmarks/attention.py)
            fuse_attention(self.model, False)
        if not (hasattr(self.model, "forward_intermediates") and hasattr(self.model, "forward_head") and self.model.feature_info):
            raise SistaError(
                f"image encoder {name!r} does not expose intermediate features in timm; choose a ResNet, ConvNeXt, ViT or Swin"
            )
        strides = [info["reduction"] for info in self.model.feature_info]
        self.plain = len(strides) > 1 and len(set(strides)) == 1  # a plain transformer: every block on the same grid
        if patch_block is not None and not (self.plain and 0 <= patch_block <= len(strides)):
            what = (
                f"has {len(strides)} blocks, counted from 1 (0: its patch embedding)"
                if self.plain
                else "is no plain vision transformer; it has patch_stride"
            )
            raise SistaError(f"patch_block {patch_block}: image encoder {name!r} {what}")
        if self.plain:
            self.stage = (patch_block or len(strides)) - 1
            if patch_block == 0:
                stem.watch(getattr(self.model, "patch_embed", nn.Identity()))
        else:
            self.stage = max((i for i, s in enumerate(strides) if s <= patch_stride), default=0)
        self.last_is_deeper = bool(getattr(self.model, "last_is_deeper", False))
        try:
            self.width, self.grid, self.centres, embedded = self._probe()
            self.patch_width, self.deepest_width = self._widths()
        except (AssertionError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:160]
            raise SistaError(
                f"image encoder {name!r} takes no films of {image_size} px ({reason}); choose a multiple of its patch size"
            ) from error
        if patch_block == 0 and not _is_of(embedded, self.grid, self.patch_width):
            raise SistaError(f"patch_block 0: image encoder {name!r} has no patch embedding that gives one token a patch; choose a ViT")

    def _probe(self) -> tuple[int, tuple[int, int], tuple[PatchCentres, PatchCentres], Tensor | None]:
        training = self.model.training
        self.model.eval()
        with torch.no_grad(), reductions(self.model) as found:
            final, maps, embedded = self.through(torch.zeros(1, 1, self.image_size, self.image_size), self._stages())
            width = self.model.forward_head(final, pre_logits=True).shape[1]
        self.model.train(training)
        grid = (maps[0].shape[2], maps[0].shape[3])
        centres = (patch_centres(found[0], self.image_size, grid[0]), patch_centres(found[1], self.image_size, grid[1]))
        return width, grid, centres, embedded

    @torch.no_grad()
    def _widths(self) -> tuple[int, int]:
        """Of a patch and of one of the deepest, as `forward` gives them: a neck behind the last block may change them."""
        training = self.model.training
        self.model.eval()
        final, maps, _ = self.through(torch.zeros(1, 1, self.image_size, self.image_size), self._stages(), norm=True)
        self.model.train(training)
        return maps[0].shape[1], (final if self.last_is_deeper else maps[-1]).shape[1]

    def _stages(self) -> list[int]:
        return sorted({self.stage, len(self.model.feature_info) - 1})

    def through(
        self, images: Float[Tensor, "b 1 h w"], indices: list[int], norm: bool = False
    ) -> tuple[Tensor, list[Tensor], Tensor | None]:
        """timm's last features, maps [B,C,h,w] of the stages or blocks `indices`, and with patch_block 0 the tokens of the stem."""
        try:
            final, maps = self.model.forward_intermediates(images, indices=indices, **({"norm": True} if norm and self.plain else {}))
        finally:
            embedded = stem.take() if self.patch_block == 0 else None
        return final, maps, embedded

    def forward(self, images: Float[Tensor, "b 1 h w"]) -> ImageFeatures:
        """Pooled vector and patches of a batch of normalised films."""
        final, maps, embedded = self.through(images, self._stages(), norm=True)
        chosen = maps[0]
        grid = (chosen.shape[2], chosen.shape[3])
        patches = chosen.flatten(2).transpose(1, 2)
        if self.patch_block == 0:
            assert embedded is not None  # `_probe` has seen it
            patches = embedded.flatten(1, -2)
        deepest = (final if self.last_is_deeper else maps[-1]).flatten(2).transpose(1, 2)
        return ImageFeatures(self.model.forward_head(final, pre_logits=True), patches, grid, deepest)

    def pooled(self, images: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b c"]:
        """The pooled vector alone, which is what a linear probe reads."""
        return self.forward(images).pooled

    def pyramid(self, images: Float[Tensor, "b 1 h w"]) -> list[Float[Tensor, "b _c _h _w"]]:
        """Maps from fine to coarse, one a stage; a plain transformer gives its last grid only."""
        stages = len(self.model.feature_info)
        return self.through(images, [stages - 1] if self.plain else list(range(stages)))[1]

    def checkpoint_activations(self) -> None:
        """Compute the activations within blocks again in the backward pass instead of keeping them. `SistaError` where timm cannot."""
        try:
            self.model.set_grad_checkpointing(True)
        except (AttributeError, AssertionError) as error:
            raise SistaError(
                f"image encoder {self.name!r} has no activation checkpointing in timm; use optimizer.chunk, not model.checkpointing"
            ) from error

    @property
    def patches_are_deepest(self) -> bool:
        """Whether no later stage or block than the patches', nor `sista_compact`'s last map, has vectors of places."""
        return self.patch_block != 0 and self.stage == len(self.model.feature_info) - 1 and not self.last_is_deeper

    def describe(self) -> dict[str, Any]:
        """What `ImageEncoder(**...)` needs to make the same architecture again, also where a folder of weights or a hub is gone."""
        name, options = self.name, self.options
        if name.startswith(SOURCES) and (architecture := self.model.pretrained_cfg.get("architecture")):
            of_source = {key: value for key, value in getattr(self.model, "_model_args", {}).items() if key not in OURS}
            name, options = architecture, {**of_source, **options}
        made = {"name": name, "image_size": self.image_size, "patch_stride": self.patch_stride, "options": options}
        return made if self.patch_block is None else {**made, "patch_block": self.patch_block}


def _is_of(tokens: Tensor | None, grid: tuple[int, int], width: int) -> bool:
    return tokens is not None and tokens.flatten(1, -2).shape[1:] == (grid[0] * grid[1], width)


def fuse_attention(model: nn.Module, fused: bool) -> None:
    """Have timm's attention layers use torch's fused kernel, or plain products."""
    for module in model.modules():
        if hasattr(module, "fused_attn"):
            setattr(module, "fused_attn", fused)  # noqa: B010  mypy knows nothing of it


def require_known(name: str) -> None:
    """SistaError for the name of an image encoder that is none of timm's, nor a folder's or a repository's."""
    import timm

    from sista.models import compact, compact_vit  # noqa: F401  register sista_compact and sista_vit

    if not timm.is_model(name.split(":")[-1]) and "/" not in name and not name.startswith("local-dir:"):
        raise SistaError(f"unknown image encoder {name!r}: {_close_timm_names(name)}; `timm.list_models()` has them all")


def _create(name: str, image_size: int, pretrained: bool, options: dict[str, Any]) -> Any:
    require_known(name)
    try:
        model = _made(name, image_size, in_chans=1, **options)
        if pretrained:
            whole = _made(name, image_size, in_chans=3, pretrained=True, **options)
            state, settings = whole.state_dict(), whole.pretrained_cfg
            require_plain(whole, settings.get("first_conv"), name)
            fold_pixels(state, settings.get("first_conv"), (tuple(settings["mean"]), tuple(settings["std"])), name)
            weight = f"{settings['first_conv']}.weight"
            model.load_state_dict({**state, weight: one_channel(state[weight])})
        return model
    except AssertionError as error:  # timm's own check of the film's size
        raise SistaError(
            f"image encoder {name!r} takes no films of {image_size} px ({error}); choose a multiple of its patch size"
        ) from error
    except (OSError, RuntimeError, ValueError) as error:
        remedy = (
            "give a folder that timm saved, local-dir:/FOLDER, or leave pre-trained weights off"
            if pretrained
            else "check the name and its options"
        )
        raise SistaError(f"image encoder {name!r} could not be made ({error}); {remedy}") from error


def _made(name: str, image_size: int, **keywords: Any) -> Any:
    import timm

    try:
        return timm.create_model(name, img_size=image_size, num_classes=0, **keywords)
    except TypeError:  # convolutional models take films of any size and know no img_size
        return timm.create_model(name, num_classes=0, **keywords)


def _close_timm_names(name: str) -> str:
    import timm

    text = nearest(name, timm.list_models())
    return text.split("? ")[0] + "?" if text.startswith("did you mean") else "no name is close"

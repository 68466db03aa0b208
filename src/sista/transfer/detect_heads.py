"""torchvision's detectors over the maps of any image encoder."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from typing import Any

from torch import Tensor, nn

from sista.errors import SistaError
from sista.models.image_encoder import ImageEncoder
from sista.transfer.pyramid import Pyramid, width_for

HEADS = ("retinanet", "faster_rcnn")
FINEST, LEVELS = 4, 4  # stride of the finest map that is searched, in pixels; maps at least
ANCHOR = 3  # side of a level's smallest anchor in strides; two larger ones at thirds of an octave, three shapes each
GROUPS = 8  # of group norm in RetinaNet's head
SCORE_CUT, MOST = 0.01, 50  # COCO's curve and FROC need unsure boxes as well; boxes a film


class DetectionMaps(nn.Module):
    """Maps of one width for torchvision's heads: `out_channels`, `strides`, and an ordered dict of maps by name.

    The stages of an encoder from stride 4 on go through a feature pyramid network (Lin et al., CVPR 2017); a plain transformer's simple
    pyramid has no need of it (ViTDet). Convolutions of stride 2 add coarser levels until there are four.
    """

    def __init__(self, encoder: ImageEncoder, *, tune: bool = False, width: int | None = None, precision: str = "fp32") -> None:
        super().__init__()
        from torchvision.ops import FeaturePyramidNetwork

        self.out_channels = width or width_for(encoder)
        self.pyramid = Pyramid(encoder, tune=tune, width=self.out_channels, precision=precision)
        self.used = [level for level, stride in enumerate(self.pyramid.strides) if stride >= FINEST] or [len(self.pyramid.strides) - 1]
        widths = [self.pyramid.widths[level] for level in self.used]
        self.fpn = None if encoder.plain else FeaturePyramidNetwork(widths, self.out_channels)
        self.strides = [self.pyramid.strides[level] for level in self.used]
        more = max(0, LEVELS - len(self.strides))
        self.coarser = nn.ModuleList([nn.Conv2d(self.out_channels, self.out_channels, 3, 2, 1) for _ in range(more)])
        self.strides += [self.strides[-1] * 2 ** (number + 1) for number in range(more)]

    def forward(self, images: Tensor) -> OrderedDict[str, Tensor]:
        maps = self.pyramid(images)
        named = OrderedDict((str(number), maps[level]) for number, level in enumerate(self.used))
        if self.fpn is not None:
            named = self.fpn(named)
        for extra in self.coarser:
            last = next(reversed(named.values()))
            named[str(len(named))] = extra(last.relu())
        return named


class Detector(nn.Module):
    """RetinaNet or Faster R-CNN of torchvision for K findings on one-channel films of one size.

    In training, forward(images [B,1,S,S], targets) gives the sum of the losses; else a list of boxes, labels and scores a film.
    `first_label` is what the first finding is called in targets and results (Faster R-CNN keeps 0 for background).
    """

    def __init__(
        self,
        encoder: ImageEncoder,
        findings: int,
        head: str = "retinanet",
        *,
        tune: bool = False,
        width: int | None = None,
        precision: str = "fp32",
    ) -> None:
        super().__init__()
        if head not in HEADS:
            raise SistaError(f"head {head!r}: choose {' or '.join(HEADS)}")
        if width is not None and (width < 1 or width % GROUPS):
            raise SistaError(f"--width is {width}; the pyramid's channels are a multiple of {GROUPS}")
        from torchvision.models.detection import FasterRCNN, RetinaNet
        from torchvision.models.detection.anchor_utils import AnchorGenerator
        from torchvision.models.detection.retinanet import RetinaNetHead
        from torchvision.ops import MultiScaleRoIAlign

        maps = DetectionMaps(encoder, tune=tune, width=width, precision=precision)
        sizes = tuple(tuple(ANCHOR * stride * 2 ** (third / 3) for third in range(3)) for stride in maps.strides)
        anchors = AnchorGenerator(sizes, ((0.5, 1.0, 2.0),) * len(sizes))
        side = encoder.image_size
        films: dict[str, Any] = {"min_size": side, "max_size": side, "image_mean": [0.0], "image_std": [1.0], "size_divisible": 1}
        self.first_label = int(head == "faster_rcnn")
        if head == "retinanet":
            norm = partial(nn.GroupNorm, GROUPS)  # with it and the GIoU loss as torchvision's second version of RetinaNet
            made = RetinaNetHead(maps.out_channels, anchors.num_anchors_per_location()[0], findings, norm_layer=norm)
            made.regression_head._loss_type = "giou"
            self.model: nn.Module = RetinaNet(
                maps,
                findings,
                anchor_generator=anchors,
                head=made,
                score_thresh=SCORE_CUT,
                detections_per_img=MOST,
                topk_candidates=300,
                _skip_resize=True,
                **films,
            )
        else:
            names = [str(number) for number in range(len(maps.strides))]
            self.model = FasterRCNN(
                maps,
                findings + 1,
                rpn_anchor_generator=anchors,
                box_roi_pool=MultiScaleRoIAlign(names, output_size=7, sampling_ratio=2),
                rpn_pre_nms_top_n_train=500,
                rpn_pre_nms_top_n_test=300,
                rpn_post_nms_top_n_train=300,
                rpn_post_nms_top_n_test=100,
                box_batch_size_per_image=128,
                box_score_thresh=SCORE_CUT,
                box_detections_per_img=MOST,
                _skip_resize=True,
                **films,
            )

    def forward(self, images: Tensor, targets: Sequence[dict[str, Tensor]] | None = None) -> Any:
        if targets is None:
            return self.model(list(images))
        losses = self.model(list(images), [dict(target) for target in targets])
        return sum(losses.values())

"""sista: from radiographs and reports to an image encoder, and from the encoder to answers.

import sista
sista.build("phantom", out="runs/corpus", options={"count": 12_000})
sista.pretrain(data="runs/corpus", out="runs/sista")
model = sista.load("runs/sista")
model.classify("film.png", ["pleural effusion", "pneumothorax"])
model.heatmap("film.png", "left pleural effusion")
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_WHERE = {
    "build": "sista.archives.build",
    "check": "sista.corpus.check",
    "pretrain": "sista.training.pretrain",
    "load": "sista.inference.pretrained",
    "zeroshot": "sista.inference.zero_shot",
    "retrieve": "sista.inference.retrieval",
    "ground": "sista.inference.grounding",
    "probe": "sista.transfer.probe",
    "segment": "sista.transfer.segment",
    "detect": "sista.transfer.detect",
    "classify": "sista.transfer.classify",
    "embed": "sista.inference.embed_archive",
    "export": "sista.inference.export",
    "compare": "sista.benchmark.compare",
    "controls": "sista.benchmark.controls",
    "demo": "sista.benchmark.demo",
    "SistaError": "sista.errors",
}
__all__ = [
    "SistaError",
    "__version__",
    "build",
    "check",
    "classify",
    "compare",
    "controls",
    "demo",
    "detect",
    "embed",
    "export",
    "ground",
    "load",
    "pretrain",
    "probe",
    "retrieve",
    "segment",
    "versions",
    "zeroshot",
]


def __getattr__(name: str) -> Any:
    """Import a public function when it is first used, so that `import sista` costs nothing."""
    if name not in _WHERE:
        raise AttributeError(f"module 'sista' has no attribute {name!r}")
    return getattr(importlib.import_module(_WHERE[name]), name)


def versions() -> dict[str, str]:
    """The versions of sista and of the libraries that can change a result."""
    from importlib.metadata import version
    from platform import python_version

    libraries = ("torch", "torchvision", "timm", "transformers", "tokenizers", "datasets", "numpy", "scikit-learn", "pillow")
    return {"sista": __version__, "python": python_version(), **{name: version(name) for name in libraries}}

"""The settings of a pre-training run: at once Python arguments, command-line options and the keys of a YAML file."""

from __future__ import annotations

from dataclasses import dataclass

from sista.models.precision import Precision


@dataclass(frozen=True)
class ModelSettings:
    """The two encoders and the space that they share.

    Args:
        image_encoder: a timm model name, or `local-dir:FOLDER` where timm saved one; `sista_compact` is a small CNN for two CPU cores.
        text_encoder: `compact`, `small` or `base` (a fresh BERT), or a transformers name or path.
        start: a run, a checkpoint or a Hub name whose encoders and projections training starts from, made with the same model settings; the
            corpus needs its tokenizer (`sista build --tokenizer RUN/model/tokenizer.json`).
        image_size: side of the square that the image encoder sees, in pixels; by default the corpus' film size.
        pretrained: load timm's weights for the image encoder.
        patch_stride: pixels a patch of a hierarchical image encoder may span (16: a ResNet's third stage).
        patch_block: of a plain vision transformer, the block whose tokens are the patches that words look at, counted from 1; 0: its
            patch embedding, before attention brings to every patch what any other shows, which is of use where it is a convolutional stem,
            not where it is one linear map (docs/experiments.md). By default the last.
        text_pooling: `mean` over word pieces, or `cls`.
        dim: size of the shared space.
        hidden: width inside the projections (2048 as MGCA); 0 makes them linear.
        dropout: of a fresh text encoder; a transformers model has its own.
        checkpointing: compute the activations within the encoders' blocks again in the backward pass instead of keeping them.
    """

    image_encoder: str = "sista_compact"
    text_encoder: str = "compact"
    start: str | None = None
    image_size: int | None = None
    pretrained: bool = False
    patch_stride: int = 16
    patch_block: int | None = None
    text_pooling: str = "mean"
    dim: int = 128
    hidden: int = 0
    dropout: float = 0.1
    checkpointing: bool = False


@dataclass(frozen=True)
class OptimizerSettings:
    """AdamW, a linear warm-up, then half a cosine down to zero.

    Args:
        epochs: passes over the training pairs; 0 leaves the encoders as they were made, a floor.
        batch_size: pairs whose films and reports are contrasted with each other, over all processes.
        chunk: films and reports of a process that are encoded at once; 0: all. With less, the batch needs the memory of a chunk and is
            encoded twice (a gradient cache); the gradients stay those of the whole batch.
        accumulate: batches whose gradients are averaged before a step; negatives stay within a batch.
        learning_rate: peak rate. 2e-3 suits the small encoders from scratch, 2e-5 pre-trained base models.
        weight_decay: on weights of two and more dimensions; biases and norms have none.
        beta1: decay of the first moment.
        beta2: decay of the second moment.
        warmup: share of the steps until the peak, 0 to 1.
        clip: largest norm of the whole gradient.
    """

    epochs: float = 4.0
    batch_size: int = 64
    chunk: int = 0
    accumulate: int = 1
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    beta1: float = 0.9
    beta2: float = 0.98
    warmup: float = 0.1
    clip: float = 1.0


@dataclass(frozen=True)
class AugmentSettings:
    """What is done to films and reports at each step. Films are never flipped: left and right mean something.

    Args:
        shift: largest shift, as a share of the side.
        scale: largest relative change of size.
        rotation: largest angle, in degrees.
        gamma: largest change of log gamma.
        contrast: largest relative change of contrast and brightness.
        shuffle_sentences: put a report's sentences in a new order.
        shorten: share of the reports of which only some sentences are taken, so that short prompts are no strangers to the text encoder.
    """

    shift: float = 0.05
    scale: float = 0.08
    rotation: float = 5.0
    gamma: float = 0.25
    contrast: float = 0.15
    shuffle_sentences: bool = True
    shorten: float = 0.0


@dataclass(frozen=True)
class RunSettings:
    """Where and how often.

    Args:
        seed: of the weights, the order of the pairs, augmentation and dropout.
        device: `auto`, `cpu`, `cuda`, `cuda:1`, ...; under torchrun each process takes the CUDA device of its local rank.
        precision: `auto` (bf16 where the hardware gains from it), `bf16` or `fp32`.
        checkpoint_every: steps between checkpoints; 0: only at the end.
        evaluate_every: steps between evaluations on the valid split; 0: only at the end.
        log_every: steps between lines of the log; 0: only the first and the last.
        evaluation_pairs: at most so many valid pairs are scored.
        compile: let torch.compile make the encoders' kernels; needs a C++ compiler, and some minutes at the start.
        tensorboard: write TensorBoard events beside `log.csv` (needs the extra `tensorboard`).
        progress: show a progress bar on standard error.
    """

    seed: int = 0
    device: str = "auto"
    precision: Precision = "auto"
    checkpoint_every: int = 200
    evaluate_every: int = 200
    log_every: int = 10
    evaluation_pairs: int = 1000
    compile: bool = False
    tensorboard: bool = False
    progress: bool = True

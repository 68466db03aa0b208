"""Report similarity, targets, contrastive kernels, token alignment: tensors in, scalar out."""

from sista.objectives.cluster_targets import acceptance_rate, cluster_targets, false_negatives
from sista.objectives.contrastive import contrast, contrast_rows, info_nce, symmetric_contrast
from sista.objectives.cross_film import contrast_films, cross_film_contrast, report_score_contrast, sample_words
from sista.objectives.diagnostics import attention_statistics, moved_target_quality, removed_pair_quality, target_statistics, wrong_film_gap
from sista.objectives.gated_pooling import GatedPooling, gate_sparsity
from sista.objectives.hard_negative import hard_negative, hard_negative_pair
from sista.objectives.instance_alignment import InstanceAlignment
from sista.objectives.local_alignment import local_contrast, local_scores
from sista.objectives.nt_xent import nt_xent
from sista.objectives.prior_targets import prior_targets
from sista.objectives.prototypes import PrototypeAlignment
from sista.objectives.pseudo_labels import PseudoLabels
from sista.objectives.sigmoid import pairwise_sigmoid
from sista.objectives.similarity import OffsetAverage, mark_same, remove_offset, report_similarity
from sista.objectives.sinkhorn import sinkhorn
from sista.objectives.spherical_kmeans import spherical_kmeans
from sista.objectives.supervised_contrastive import supervised_contrastive
from sista.objectives.targets import (
    MODES,
    Targets,
    eliminate_targets,
    identity_targets,
    make_targets,
    sigmoid_signs,
    sigmoid_targets,
    soft_targets,
    triage_targets,
)
from sista.objectives.token_alignment import TokenAlignment
from sista.objectives.token_attention import (
    WEIGHTINGS,
    TokenAligner,
    entmax_weights,
    minmax_sparse,
    minmax_weights,
    softmax_weights,
    topk_weights,
)
from sista.objectives.token_contrast import patch_to_word, pool_sentences, within_report_contrast

__all__ = [
    "MODES",
    "WEIGHTINGS",
    "GatedPooling",
    "InstanceAlignment",
    "OffsetAverage",
    "PrototypeAlignment",
    "PseudoLabels",
    "Targets",
    "TokenAligner",
    "TokenAlignment",
    "acceptance_rate",
    "attention_statistics",
    "cluster_targets",
    "contrast",
    "contrast_films",
    "contrast_rows",
    "cross_film_contrast",
    "eliminate_targets",
    "entmax_weights",
    "false_negatives",
    "gate_sparsity",
    "hard_negative",
    "hard_negative_pair",
    "identity_targets",
    "info_nce",
    "local_contrast",
    "local_scores",
    "make_targets",
    "mark_same",
    "minmax_sparse",
    "minmax_weights",
    "moved_target_quality",
    "nt_xent",
    "pairwise_sigmoid",
    "patch_to_word",
    "pool_sentences",
    "prior_targets",
    "remove_offset",
    "removed_pair_quality",
    "report_score_contrast",
    "report_similarity",
    "sample_words",
    "sigmoid_signs",
    "sigmoid_targets",
    "sinkhorn",
    "soft_targets",
    "softmax_weights",
    "spherical_kmeans",
    "supervised_contrastive",
    "symmetric_contrast",
    "target_statistics",
    "topk_weights",
    "triage_targets",
    "within_report_contrast",
    "wrong_film_gap",
]

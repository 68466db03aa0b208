"""Text encoders: one contract, whatever the transformers model."""

from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertModel, DistilBertConfig, DistilBertModel, RobertaConfig, RobertaModel

from sista.errors import SistaError
from sista.models.text_encoder import TextEncoder

PIECES = torch.tensor([[2, 7, 8, 9, 3], [2, 5, 3, 0, 0]])
MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], dtype=torch.bool)


def saved(kind: str, folder: Path) -> str:
    torch.manual_seed(0)
    model = {
        "bert": lambda: BertModel(
            BertConfig(vocab_size=40, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
        ),
        "roberta": lambda: RobertaModel(
            RobertaConfig(vocab_size=40, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, pad_token_id=0)
        ),
        "distilbert": lambda: DistilBertModel(DistilBertConfig(vocab_size=40, dim=16, n_layers=1, n_heads=2, hidden_dim=32)),
    }[kind]()
    model.save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize("kind", ["compact", "bert", "roberta", "distilbert"])
@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_contract(kind: str, pooling: str, tmp_path: Path) -> None:
    name = kind if kind == "compact" else saved(kind, tmp_path)
    encoder = TextEncoder(name, vocabulary=40, pooling=pooling).eval()
    features = encoder(PIECES, MASK)
    assert features.pooled.shape == (2, encoder.width)
    assert features.pieces.shape == (2, 5, encoder.width)
    alone = encoder(PIECES[1:, :3], MASK[1:, :3])
    torch.testing.assert_close(alone.pooled, features.pooled[1:], rtol=1e-4, atol=1e-5)
    again = TextEncoder(**encoder.describe()).eval()
    again.load_state_dict(encoder.state_dict())
    torch.testing.assert_close(again(PIECES, MASK).pooled, features.pooled)


def test_unknown_name_is_refused() -> None:
    with pytest.raises(SistaError, match="compact"):
        TextEncoder("compakt", vocabulary=40)


def test_too_small_a_vocabulary_names_the_remedy(tmp_path: Path) -> None:
    name = saved("bert", tmp_path)
    with pytest.raises(SistaError, match="--tokenizer"):
        TextEncoder(name, vocabulary=41)


def test_unknown_pooling_is_refused() -> None:
    with pytest.raises(SistaError, match="'mean' or 'cls'"):
        TextEncoder("compact", vocabulary=40, pooling="max")

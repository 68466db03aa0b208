"""Text encoders: one contract, whatever the transformers model."""

from pathlib import Path

import pytest
import torch
from transformers import (
    AutoConfig,
    AutoModel,
    BertConfig,
    BertModel,
    DistilBertConfig,
    DistilBertModel,
    ElectraConfig,
    ElectraModel,
    RobertaConfig,
    RobertaModel,
    T5Config,
)

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
        "electra": lambda: ElectraModel(
            ElectraConfig(vocab_size=40, embedding_size=8, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
        ),
        "distilbert": lambda: DistilBertModel(DistilBertConfig(vocab_size=40, dim=16, n_layers=1, n_heads=2, hidden_dim=32)),
    }[kind]()
    model.save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize("kind", ["compact", "bert", "roberta", "electra", "distilbert"])
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


LENGTHS = torch.tensor([9, 2, 5, 1, 7, 3, 8])


@pytest.mark.parametrize("kind", ["compact", "bert", "roberta", "electra"])
def test_packed_texts_are_the_texts_padded(kind: str, tmp_path: Path) -> None:
    """The same vectors and gradients on real pieces, and nothing else computed: the layers see one row of the real pieces."""
    encoder = TextEncoder(kind if kind == "compact" else saved(kind, tmp_path), vocabulary=40).eval()
    mask = torch.arange(9)[None] < LENGTHS[:, None]
    pieces = torch.randint(5, 40, (7, 9), generator=torch.Generator().manual_seed(0)).masked_fill(~mask, 0)
    seen: list[tuple[int, ...]] = []
    layer = next(module for module in encoder.model.modules() if isinstance(module, torch.nn.LayerNorm))
    layer.register_forward_hook(lambda _, given, __: seen.append(tuple(given[0].shape[:2])))
    padded, packed = encoder._hidden(pieces, mask), encoder(pieces, mask).pieces
    assert seen == [(7, 9), (1, 35)]
    torch.testing.assert_close(packed[mask], padded[mask], rtol=1e-4, atol=1e-5)
    assert not packed[~mask].any()
    weights = [*encoder.model.parameters()]
    wanted, found = (torch.autograd.grad((h * mask[..., None]).square().sum(), weights, allow_unused=True) for h in (padded, packed))
    for one, other in zip(wanted, found, strict=True):
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            torch.testing.assert_close(other, one, rtol=1e-3, atol=1e-4)


def test_another_attention_is_never_given_packed_texts() -> None:
    encoder = TextEncoder("compact", vocabulary=40).eval()
    mask = torch.arange(9)[None] < LENGTHS[:, None]
    pieces = torch.randint(5, 40, (7, 9)).masked_fill(~mask, 0)
    packed = encoder(pieces, mask).pieces[mask]
    for name in ("eager", "sdpa"):
        encoder.model.set_attn_implementation(name)
        torch.testing.assert_close(encoder(pieces, mask).pieces[mask], packed, rtol=1e-4, atol=1e-5)


def test_dropout_is_in_packed_attention_too() -> None:
    encoder = TextEncoder("compact", vocabulary=40, dropout=0.0)
    for module in encoder.model.modules():
        if hasattr(module, "attention_head_size"):
            module.dropout.p = 0.5
    mask = torch.arange(9)[None] < LENGTHS[:, None]
    pieces = torch.full((7, 9), 7)
    first, second = encoder(pieces, mask).pieces, encoder(pieces, mask).pieces
    assert not torch.allclose(first, second)
    torch.testing.assert_close(encoder.eval()(pieces, mask).pieces, encoder(pieces, mask).pieces)


def test_a_checkpoint_does_not_keep_the_attention_of_its_machine() -> None:
    assert "sista_packed" not in str(TextEncoder("compact", vocabulary=40).describe())


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


def test_a_model_stored_in_bfloat16_is_trained_in_float32(tmp_path: Path) -> None:
    """transformers loads weights in the format that they lie in; updates of 2e-5 would be lost in bfloat16's rounding."""
    BertModel.from_pretrained(saved("bert", tmp_path)).to(torch.bfloat16).save_pretrained(tmp_path)
    encoder = TextEncoder(str(tmp_path), vocabulary=40)
    assert {parameter.dtype for parameter in encoder.parameters()} == {torch.float32}
    assert encoder(PIECES, MASK).pooled.dtype == torch.float32
    assert {parameter.dtype for parameter in TextEncoder(**encoder.describe()).parameters()} == {torch.float32}


def test_a_model_that_is_no_text_encoder_is_told(tmp_path: Path) -> None:
    T5Config(vocab_size=40, d_model=16, d_kv=4, d_ff=16, num_layers=1, num_heads=2).save_pretrained(tmp_path)
    AutoModel.from_config(T5Config.from_pretrained(tmp_path)).save_pretrained(tmp_path)
    with pytest.raises(SistaError, match="is a t5, no encoder of texts alone"):
        TextEncoder(str(tmp_path), vocabulary=40)


@pytest.mark.parametrize(("kind", "most"), [("mpnet", 18), ("camembert", 18), ("distilbert", 20)])
def test_the_longest_text_is_what_a_model_takes(kind: str, most: int, tmp_path: Path) -> None:
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32, "pad_token_id": 1}
    small = {"dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 32} if kind == "distilbert" else small
    config = AutoConfig.for_model(kind, vocab_size=40, max_position_embeddings=20, **small)
    AutoModel.from_config(config).save_pretrained(tmp_path)
    encoder = TextEncoder(str(tmp_path), vocabulary=40).eval()
    assert encoder.longest == most
    longest, longer = (torch.full((1, count), 7) for count in (most, most + 1))
    assert encoder(longest, torch.ones_like(longest, dtype=torch.bool)).pieces.isfinite().all()
    with pytest.raises((IndexError, RuntimeError)):
        encoder(longer, torch.ones_like(longer, dtype=torch.bool))

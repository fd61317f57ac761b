"""The flags of `inspect_model.py`; no TensorFlow."""

import dataclasses

from bert_tf2.configs.fields import ACTIONS, FILES, MODEL, MOST_BATCH, TASK, check, check_has_effect, setting
from bert_tf2.configs.model import first_layers
from bert_tf2.configs.tokenizer import TokenizerConfig
from bert_tf2.errors import InputError
from bert_tf2.io import files

MOST_CANDIDATES = 1000


@dataclasses.dataclass(frozen=True, kw_only=True)
class InspectionConfig:
    """The flags of `inspect_model.py`; None means the value in the model's directory.

    Raises:
      InputError: a value is invalid, or flags exclude each other.
    """

    init_checkpoint: str = setting(
        help="The model: a checkpoint of the original, an output_dir, a Hugging Face directory, or the name of a "
        "public model.",
        group=MODEL,
    )
    text: str | None = setting(
        None,
        help="Text to inspect: its pieces, predictions for each [MASK], labels or answers of a fine-tuned "
        "model, attention.",
        group=FILES,
    )
    text_b: str | None = setting(None, help="Second text, of a pair; of a question, its context.", group=FILES)
    text_file: str | None = setting(
        None,
        help="File with one text per line, `a ||| b` for a pair; empty lines are skipped; - for standard input. "
        "Instead of text.",
        group=FILES,
    )
    output_dir: str | None = setting(
        None,
        help="Directory for attention.html, attention.npz and inspection.jsonl, or, with score, for scores.jsonl.",
        group=FILES,
    )
    score: bool = setting(
        False,
        help="Compute the pseudo-perplexity of the texts: mask each piece in turn and score it.",
        group=ACTIONS,
    )
    nearest: str | None = setting(
        None, help="Piece or word to find the nearest pieces of, by cosine of the word embeddings.", group=ACTIONS
    )
    json: bool = setting(False, help="Print JSON, one object per line, instead of tables.", group=ACTIONS)
    top_k: int = setting(
        10,
        help="Number of predictions for each [MASK], of answers, and of nearest pieces.",
        group=TASK,
        at_least=1,
        at_most=MOST_CANDIDATES,
    )
    batch_size: int = setting(32, help="With score, sequences per batch.", group=TASK, at_least=1, at_most=MOST_BATCH)
    bert_config_file: str | None = setting(
        None, help="JSON file with the model config, if not the one beside the checkpoint.", group=MODEL
    )
    vocab_file: str | None = setting(
        None, help="The vocabulary of the model, if not the one beside the checkpoint.", group=MODEL
    )
    spm_model_file: str | None = setting(None, help="A SentencePiece model, instead of vocab_file.", group=MODEL)
    do_lower_case: bool | None = setting(
        None, help="Whether to lower-case the text; if omitted, as in training.", group=MODEL
    )
    tokenizer: TokenizerConfig = dataclasses.field(default_factory=TokenizerConfig)
    num_hidden_layers: int | None = first_layers()

    def __post_init__(self) -> None:
        check(self)
        if self.vocab_file and self.spm_model_file:
            raise InputError("--vocab_file and --spm_model_file exclude each other; give the one that the model has.")
        if self.text is not None and self.text_file is not None:
            raise InputError("--text and --text_file exclude each other; give one of them.")
        for name in ("text", "text_b", "nearest"):
            value = getattr(self, name)
            if value is not None and not value.strip():
                raise InputError(f"--{name} is empty; give a text, or omit the flag.")
            if value is not None and not files.is_unicode(value):
                raise InputError(f"--{name} is not valid UTF-8; convert the text to UTF-8 first.")
        check_has_effect(self, ("text_b",), self.text is not None, "is the second text of a pair; give --text, too")
        check_has_effect(self, ("score", "output_dir"), self.has_texts, "needs --text or --text_file; give one of them")
        check_has_effect(self, ("batch_size",), self.score, "is for --score; omit it")
        has_candidates = self.nearest is not None or (self.has_texts and not self.score)
        check_has_effect(self, ("top_k",), has_candidates, "is for predictions and nearest pieces; omit it")

    @property
    def has_texts(self) -> bool:
        """Whether there are texts to inspect."""
        return self.text is not None or self.text_file is not None

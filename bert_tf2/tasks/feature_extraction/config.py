"""The flags of `extract_features.py`; no TensorFlow, no NumPy."""

import dataclasses

from bert_tf2.configs import long_texts
from bert_tf2.configs.fields import FILES, MODEL, MOST_BATCH, MOST_LENGTH, TASK, check, setting
from bert_tf2.configs.long_texts import TRUNCATE_TAIL, LongText, check_long_text
from bert_tf2.configs.model import first_layers
from bert_tf2.configs.tokenizer import TokenizerConfig
from bert_tf2.configs.training import DistributionConfig, PrecisionConfig
from bert_tf2.errors import InputError

STANDARD_OUTPUT = "-"
FORMATS = ("json", "npy", "npz", "parquet")
TOKENS, MEAN, MAX, CLS, POOLER = "none", "mean", "max", "cls", "pooler"
POOLINGS = (TOKENS, MEAN, MAX, CLS, POOLER)
PIECE, WORD = "piece", "word"
UNITS = (PIECE, WORD)
CONCAT, SUM = "concat", "sum"
COMBINATIONS = (CONCAT, SUM, MEAN)
_ORIGINAL_LAYERS, _LAST_LAYER = "-1,-2,-3,-4", "-1"


@dataclasses.dataclass(frozen=True)
class FeatureConfig:
    """The flags of `extract_features.py`; names and defaults are the original's where it has them.

    None means that the value is found next to the checkpoint, or follows from other flags.

    Raises:
      InputError: a value is invalid.

    Examples:
      >>> from bert_tf2.tasks.feature_extraction import FeatureConfig
      >>> FeatureConfig("lines.txt", "features.jsonl", "bert-base-uncased", layers="-1,-2").layer_numbers
      (-1, -2)
    """

    input_file: str = setting(
        help="Lines of text, `a ||| b` for a pair: comma-separated paths or globs, possibly gzip, or - for standard "
        "input.",
        group=FILES,
        original=True,
    )
    output_file: str = setting(help="File to write; - for standard output.", group=FILES, original=True)
    init_checkpoint: str = setting(
        help="The model: a checkpoint of the original, an output_dir, a Hugging Face directory, or the name of a "
        "public model.",
        group=MODEL,
        original=True,
    )
    bert_config_file: str | None = setting(
        None, help="The model config; if omitted, the one next to init_checkpoint.", group=MODEL, original=True
    )
    vocab_file: str | None = setting(
        None, help="The vocabulary that the model was trained with.", group=MODEL, original=True
    )
    spm_model_file: str | None = setting(None, help="A SentencePiece model, instead of vocab_file.", group=MODEL)
    do_lower_case: bool | None = setting(
        None,
        help="Whether to lower-case the text: true for uncased models, false for cased and multilingual cased ones.",
        group=MODEL,
        original=True,
        flag_default=True,
    )
    tokenizer: TokenizerConfig = dataclasses.field(default_factory=TokenizerConfig)
    num_hidden_layers: int | None = first_layers()
    layers: str | None = setting(
        None,
        help="Comma-separated layers: 0 is the lowest, -1 the last. If omitted with pooling or unit=word, -1.",
        group=TASK,
        original=True,
        flag_default=_ORIGINAL_LAYERS,
    )
    combine: str = setting(
        CONCAT,
        help="How several layers are combined: concat, one after the other (listed separately in JSON, as in the "
        "original); or their sum or mean, as long as the vector of one layer.",
        group=TASK,
        choices=COMBINATIONS,
    )
    max_seq_length: int = setting(
        128,
        help="Maximum tokens per sequence; longer ones are truncated or split.",
        group=MODEL,
        original=True,
        at_least=3,
        at_most=MOST_LENGTH,
    )
    long_text: LongText = long_texts.long_text(TRUNCATE_TAIL, "lines")
    window_stride: int | None = long_texts.window_stride()
    batch_size: int = setting(
        32,
        help="Maximum sequences per batch, over all devices; on a CPU, up to 384 tokens instead.",
        group=TASK,
        original=True,
        at_least=1,
        at_most=MOST_BATCH,
    )
    output_format: str = setting(
        "json",
        help="json: one object per line, as in the original; npy: one vector per line; npz; parquet (needs pyarrow).",
        group=FILES,
        choices=FORMATS,
    )
    pooling: str = setting(
        TOKENS,
        help="none: a vector for each token or word; otherwise one for each line: mean or max over its tokens, its "
        "first token (cls), or the output of the model's pooler for that token.",
        group=TASK,
        choices=POOLINGS,
    )
    unit: str = setting(
        PIECE,
        help="Without pooling: piece, a vector for each token; or word, one for each whitespace-separated word, the "
        "mean of its pieces.",
        group=TASK,
        choices=UNITS,
    )
    normalize: bool = setting(False, help="Scale each vector to length 1 (L2 norm).", group=TASK)
    use_one_hot_embeddings: bool = setting(
        False, help="Has no effect; accepted for compatibility with the original.", group=TASK, original=True
    )
    precision: PrecisionConfig = dataclasses.field(default_factory=PrecisionConfig)
    distribution: DistributionConfig = dataclasses.field(default_factory=DistributionConfig)

    def __post_init__(self) -> None:
        check(self)
        if self.vocab_file and self.spm_model_file:
            raise InputError("--vocab_file and --spm_model_file exclude each other; give the one that the model has.")
        check_long_text(self.long_text, self.window_stride, self.max_seq_length)
        self._check_vectors()
        if self.output_file == STANDARD_OUTPUT and self.output_format != "json":
            raise InputError(
                f"--output_format={self.output_format} cannot be written to standard output; give a file as "
                "--output_file, or --output_format=json."
            )
        if self.distribution.distribution_strategy == "multi_worker_mirrored":
            raise InputError(
                "--distribution_strategy=multi_worker_mirrored: one machine writes the output; split the input and "
                "start one process on each machine."
            )
        from bert_tf2.tasks.feature_extraction import outputs

        outputs.check_format(self.output_format, self.of_tokens)

    def _check_vectors(self) -> None:
        """Checks the flags that choose the vectors."""
        layers = self.layer_numbers
        if self.pooling == POOLER and self.layers is not None:
            raise InputError("--pooling=pooler always uses the last layer, so --layers has no effect; omit it.")
        if self.combine != CONCAT and len(layers) < 2:
            reason = f"--layers={self.layers or _LAST_LAYER} is a single layer"
            if self.pooling == POOLER:
                reason = "--pooling=pooler has no layers"
            raise InputError(
                f"--combine={self.combine} is for several layers, but {reason}; give for example --layers=-1,-2,-3,-4, "
                "or omit --combine."
            )
        if self.unit == WORD and self.pooling != TOKENS:
            raise InputError(
                f"--unit=word is for vectors of words, but --pooling={self.pooling} gives one for each line; omit one "
                "of the two."
            )

    @property
    def layer_numbers(self) -> tuple[int, ...]:
        """The numbers in `layers`, or its default; empty for the pooler's output."""
        if self.pooling == POOLER:
            return ()
        layers = self.layers
        if layers is None:
            layers = _ORIGINAL_LAYERS if self.pooling == TOKENS and self.unit == PIECE else _LAST_LAYER
        try:
            return tuple(int(number) for number in layers.split(","))
        except ValueError:
            raise InputError(
                f"--layers={self.layers}; expected comma-separated layer numbers: -1,-2 are the last two."
            ) from None

    @property
    def of_tokens(self) -> bool:
        """Whether the model gives a vector for each token rather than for each line."""
        return self.pooling == TOKENS

    @property
    def lists_layers(self) -> bool:
        """Whether JSON lists the layers separately, as in the original."""
        return self.of_tokens and self.combine == CONCAT

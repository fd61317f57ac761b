"""The flags of `convert_checkpoint.py`; no TensorFlow, no NumPy."""

import dataclasses
import os

from bert_tf2.configs.fields import FILES, MODEL, TASK, check, setting
from bert_tf2.configs.model import MOST_POSITIONS, first_layers
from bert_tf2.configs.tokenizer import TokenizerConfig
from bert_tf2.errors import InputError
from bert_tf2.io import file_system, run_files

FORMATS = ("google", "huggingface")
HEADS = ("classifier", "tagger", "multiple_choice")


@dataclasses.dataclass(frozen=True)
class ConversionConfig:
    """The flags of `convert_checkpoint.py`.

    Raises:
      InputError: a value is invalid, or `output_dir` exists and is not empty.
    """

    init_checkpoint: str = setting(
        help="The model: a checkpoint of the original or of this project, its directory, a Hugging Face directory, or "
        "the name of a public model.",
        group=FILES,
    )
    output_dir: str = setting(help="Directory to write; must be new or empty.", group=FILES)
    output_format: str | None = setting(
        None,
        help="Output format; if omitted, the one that the model does not have, but the model's own with --grow_vocab, "
        "--num_hidden_layers or --max_position_embeddings.",
        group=TASK,
        choices=FORMATS,
    )
    bert_config_file: str | None = setting(
        None, help="JSON file with the model config, if not the one in its directory.", group=MODEL
    )
    vocab_file: str | None = setting(
        None, help="The vocabulary of the model, if not the one in its directory.", group=MODEL
    )
    do_lower_case: bool | None = setting(
        None,
        help="Whether the model's tokenizer lower-cases the text. If omitted, as in its directory, else false if the "
        "vocabulary has many upper-case pieces.",
        group=MODEL,
    )
    tokenizer: TokenizerConfig = dataclasses.field(default_factory=TokenizerConfig)
    head: str | None = setting(
        None,
        help="Kind of head that output_weights belongs to. If omitted, as in the directory, else a classifier.",
        group=MODEL,
        choices=HEADS,
    )
    allow_unused: str = setting(
        "",
        help="Comma-separated names of weights that may be dropped; * matches anything. Any other weight without a "
        "place in the output is an error.",
        group=TASK,
    )
    grow_vocab: str | None = setting(
        None,
        help="A vocabulary like the model's, but with new pieces in place of [unusedN] or at the end. The model gets "
        "embeddings for them, initialized to the mean of the pieces they were split into before.",
        group=TASK,
    )
    num_hidden_layers: int | None = first_layers()
    max_position_embeddings: int | None = setting(
        None,
        help="Number of positions of the output, more than the model has: the new ones are initialized to copies of "
        "the model's, repeated in order.",
        group=TASK,
        at_least=1,
        at_most=MOST_POSITIONS,
    )
    use_best: bool = setting(
        False,
        help="If the model is the directory of a training: the weights in its best/, which had the best score on the "
        "dev data, instead of the latest ones.",
        group=FILES,
    )

    def __post_init__(self) -> None:
        check(self)
        if file_system.isfile(self.output_dir) or (
            file_system.isdir(self.output_dir) and file_system.listdir(self.output_dir)
        ):
            raise InputError(
                f"--output_dir={self.output_dir} already exists and is not an empty directory; give a new one."
            )

    @property
    def model(self) -> str:
        """The path or name of the model, as in `init_checkpoint`."""
        return os.path.join(self.init_checkpoint, run_files.BEST) if self.use_best else self.init_checkpoint

    @property
    def changes_model(self) -> bool:
        """Whether the output is a different model, rather than the same model in another format."""
        return bool(self.grow_vocab or self.num_hidden_layers or self.max_position_embeddings)

"""What `convert_checkpoint.py` can be asked to do; no TensorFlow, no NumPy."""

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
      InputError: a value is impossible, or `output_dir` is not free.
    """

    init_checkpoint: str = setting(
        help="The model: a checkpoint of the original or of this project, its directory, a Hugging Face directory, or "
        "the name of a public model.",
        group=FILES,
    )
    output_dir: str = setting(help="Folder to make; it has to be new or empty.", group=FILES)
    output_format: str | None = setting(
        None,
        help="By default the other one than the model's; with --grow_vocab, --num_hidden_layers or "
        "--max_position_embeddings the model's own.",
        group=TASK,
        choices=FORMATS,
    )
    bert_config_file: str | None = setting(
        None, help="JSON file with the sizes of the model, if not the one in its folder.", group=MODEL
    )
    vocab_file: str | None = setting(
        None, help="The vocabulary of the model, if not the one in its folder.", group=MODEL
    )
    do_lower_case: bool | None = setting(
        None,
        help="Whether its tokenizer lower-cases the text. By default what its folder says, else false if the "
        "vocabulary has many upper-case pieces.",
        group=MODEL,
    )
    tokenizer: TokenizerConfig = dataclasses.field(default_factory=TokenizerConfig)
    head: str | None = setting(
        None,
        help="What output_weights is the head of. By default what the folder says, else of a classifier.",
        group=MODEL,
        choices=HEADS,
    )
    allow_unused: str = setting(
        "",
        help="Names in the model that may be left out, separated by commas; * stands for anything. Other names that "
        "have no place in the output are an error.",
        group=TASK,
    )
    grow_vocab: str | None = setting(
        None,
        help="A vocabulary like the model's, but with new pieces in place of [unusedN] or at the end. The model gets "
        "rows for them, which start as the mean of the pieces that they were cut into.",
        group=TASK,
    )
    num_hidden_layers: int | None = first_layers()
    max_position_embeddings: int | None = setting(
        None,
        help="Positions of the output, more than the model has: the new ones start as copies of the model's, in turn.",
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
                f"--output_dir={self.output_dir} is there already and not an empty folder; name a new one."
            )

    @property
    def model(self) -> str:
        """The model, in the form of `init_checkpoint`."""
        return os.path.join(self.init_checkpoint, run_files.BEST) if self.use_best else self.init_checkpoint

    @property
    def changes_model(self) -> bool:
        """Whether the output is another model than the input rather than the same in another format."""
        return bool(self.grow_vocab or self.num_hidden_layers or self.max_position_embeddings)

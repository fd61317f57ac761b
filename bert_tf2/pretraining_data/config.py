"""What `create_pretraining_data.py` can be asked to do; no TensorFlow, no NumPy."""

import dataclasses
import os
from pathlib import Path

from bert_tf2.configs.choices import COMPRESSIONS, MASKINGS, Compression
from bert_tf2.configs.fields import ACTIONS, FILES, MODEL, TASK, check_has_effect, setting
from bert_tf2.configs.tokenizer import TokenizerConfig
from bert_tf2.errors import InputError
from bert_tf2.io import atomic, files
from bert_tf2.io.text_shards import GROUP_BYTES
from bert_tf2.pretraining_data.instances import InstanceParameters


@dataclasses.dataclass(frozen=True, kw_only=True)
class PretrainingDataConfig(InstanceParameters):
    """The flags of `create_pretraining_data.py`: those of `InstanceParameters`, and the following.

    Raises:
      InputError: a value that cannot work, an input that is missing, an output that would overwrite an input.
    """

    input_file: str = setting(
        help="Text to read, one sentence a line, a blank line between documents: a comma-separated list of paths and "
        "globs. gzip and Zstandard are unpacked.",
        group=FILES,
        original=True,
    )
    output_file: str = setting(
        help="TFRecord files to write: a comma-separated list, over which the instances are dealt in turn; or a "
        "folder/, for a file part-00000-of-00016 of each group.",
        group=FILES,
        original=True,
    )
    compression: Compression = setting("none", help="How to compress the output.", group=FILES, choices=COMPRESSIONS)
    vocab_file: str | None = setting(
        None, help="The vocabulary that the model was or will be trained on.", group=MODEL, original=True
    )
    spm_model_file: str | None = setting(None, help="A SentencePiece model, instead of vocab_file.", group=MODEL)
    spm_alpha: float = setting(
        0.0,
        help="Draw the pieces of the SentencePiece model at random: 0.1 is usual, 0 takes the best ones.",
        group=MODEL,
    )
    do_lower_case: bool = setting(
        True,
        help="Whether to lower-case the text: true for uncased models, false for cased and multilingual cased ones.",
        group=MODEL,
        original=True,
    )
    tokenizer: TokenizerConfig = dataclasses.field(default_factory=TokenizerConfig)
    random_seed: int = setting(
        12345,
        help="The same seed, input and flags give the same records.",
        original=True,
        at_most=(1 << 63) - 1,  # Python's generator takes any
    )
    masking: str = setting(
        "static",
        help="dynamic: records without masks, which run_pretraining.py --masking=dynamic draws anew in each epoch.",
        group=TASK,
        choices=MASKINGS,
    )
    no_nsp: bool = setting(
        False,
        help="Rows of full sentences instead of pairs of texts, for run_pretraining.py --use_nsp=false.",
        group=TASK,
    )
    group_bytes: int = setting(
        GROUP_BYTES,
        help="Text is taken in groups of files of about this size, each made by itself; what fits into one is made as "
        "a whole.",
        group=ACTIONS,
        at_least=1,
        at_most=1 << 50,
    )
    num_workers: int = setting(
        1, help="Processes that make groups. The records do not depend on it.", group=ACTIONS, at_least=1, at_most=4096
    )
    resume: bool = setting(
        False, help="Whether to keep the groups that an interrupted run of the same command finished.", group=ACTIONS
    )
    runner: str | None = setting(
        None,
        help="Make the groups on Apache Beam with this runner (DirectRunner, FlinkRunner, SparkRunner, "
        "DataflowRunner); flags that this script does not know are passed on to Beam.",
        group=ACTIONS,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_has_effect(
            self, ("num_workers",), self.runner is None, "is for this machine's processes, not for --runner; omit it"
        )
        if (self.vocab_file is None) == (self.spm_model_file is None):
            raise InputError("Give either --vocab_file or --spm_model_file.")
        if self.spm_alpha and self.spm_model_file is None:
            raise InputError("--spm_alpha samples the pieces of a SentencePiece model; give --spm_model_file.")
        outputs = self.outputs
        if not outputs:
            raise InputError("--output_file names no file; give a path or a comma-separated list of them.")
        sources = {os.path.realpath(path): "--input_file" for path in self.inputs}
        sources[os.path.realpath(self.pieces_file)] = "--vocab_file" if self.vocab_file else "--spm_model_file"
        seen: set[str] = set()
        for path in outputs:
            if _is_folder(path) and len(outputs) > 1:
                raise InputError(f"--output_file: {path!r} is a folder; name a folder alone, or files.")
            if not _is_folder(path):
                atomic.check_output(path)
            real = os.path.realpath(path)
            if real in sources:
                raise InputError(f"--output_file: {path!r} is read by {sources[real]}; write to another file.")
            if real in seen:
                raise InputError(f"--output_file names {path!r} twice; name each file once.")
            seen.add(real)

    @property
    def parameters(self) -> InstanceParameters:
        """What concerns the making of instances."""
        names = [field.name for field in dataclasses.fields(InstanceParameters)]
        return InstanceParameters(**{name: getattr(self, name) for name in names})

    @property
    def pieces_file(self) -> str:
        """The vocabulary or the SentencePiece model."""
        return str(self.vocab_file or self.spm_model_file)

    @property
    def inputs(self) -> list[str]:
        """The files to read, globs expanded, in order."""
        return files.expand(self.input_file, "--input_file")

    @property
    def outputs(self) -> list[str]:
        """The files to write, in order, or the one folder."""
        directory = os.path.dirname(self.output_file.rstrip("/"))
        if os.path.exists(self.output_file) or ("," in directory and os.path.isdir(directory)):
            return [self.output_file]  # whose commas are part of a name
        return [path.strip() for path in self.output_file.split(",") if path.strip()]

    @property
    def output_folder(self) -> Path | None:
        """The folder of part files, where one is asked for."""
        return Path(self.outputs[0]) if _is_folder(self.outputs[0]) else None

    @property
    def summary_file(self) -> Path:
        """Where the summary goes: into the folder, or beside the first output."""
        if self.output_folder:
            return self.output_folder / "summary.json"
        return Path(f"{self.outputs[0]}.summary.json")


def _is_folder(path: str) -> bool:
    return path.endswith("/") or os.path.isdir(path)

"""The flags of `create_pretraining_data.py`; no TensorFlow, no NumPy."""

import dataclasses
import os
from pathlib import Path

from bert_tf2.configs.choices import COMPRESSIONS, MASKINGS, Compression
from bert_tf2.configs.fields import ACTIONS, FILES, MODEL, TASK, check_has_effect, setting
from bert_tf2.configs.text_input import TextInput
from bert_tf2.configs.tokenizer import TextTokenizerConfig
from bert_tf2.errors import InputError
from bert_tf2.io import atomic, file_system, files, run_files
from bert_tf2.io.text_shards import GROUP_BYTES
from bert_tf2.pretraining_data.instances import LONG_LINES, InstanceParameters, Layout


@dataclasses.dataclass(frozen=True, kw_only=True)
class PretrainingDataConfig(InstanceParameters, TextInput):
    """The flags of `create_pretraining_data.py`: those of `InstanceParameters` and `TextInput`, and the following.

    Raises:
      InputError: a value is invalid, an input is missing, or an output would overwrite an input.
    """

    input_file: str = setting(
        help="Comma-separated paths and globs of text, with one sentence per line and an empty line between documents, "
        "or of tables (see text_column). May be compressed with gzip or Zstandard.",
        group=FILES,
        original=True,
    )
    output_file: str = setting(
        help="TFRecord files to write: a comma-separated list, over which the instances are distributed in turn; or a "
        "directory/, which gets one file part-00000-of-00016 per shard.",
        group=FILES,
        original=True,
    )
    eval_output_file: str | None = setting(
        None,
        help="TFRecord file for the records that eval_fraction holds out; if omitted, train.eval.tfrecord next to "
        "train.tfrecord, or eval.tf_record in a directory.",
        group=FILES,
    )
    compression: Compression = setting("none", help="How to compress the output.", group=FILES, choices=COMPRESSIONS)
    vocab_file: str | None = setting(
        None, help="The vocabulary that the model was or will be trained with.", group=MODEL, original=True
    )
    spm_model_file: str | None = setting(None, help="A SentencePiece model, instead of vocab_file.", group=MODEL)
    spm_alpha: float = setting(
        0.0,
        help="Sample the segmentation of the SentencePiece model with this alpha: 0.1 is usual; 0: always take the "
        "best.",
        group=MODEL,
    )
    do_lower_case: bool = setting(
        True,
        help="Whether to lower-case the text: true for uncased models, false for cased and multilingual cased ones.",
        group=MODEL,
        original=True,
    )
    tokenizer: TextTokenizerConfig = dataclasses.field(default_factory=TextTokenizerConfig)
    random_seed: int = setting(
        12345,
        help="The same seed, input and flags give the same records.",
        original=True,
        at_most=(1 << 63) - 1,  # Python's generator accepts any
    )
    masking: str = setting(
        "static",
        help="static: mask the records; dynamic: leave masking to run_pretraining.py --masking=dynamic, which draws "
        "new masks in each epoch.",
        group=TASK,
        choices=MASKINGS,
    )
    no_nsp: bool = setting(
        False,
        help="Write sequences of full sentences instead of pairs, for run_pretraining.py --use_nsp=false.",
        group=TASK,
    )
    line_by_line: bool = setting(
        False,
        help="Write one example per line instead of pairs, for run_pretraining.py --use_nsp=false; empty lines are "
        "ignored.",
        group=TASK,
    )
    long_lines: str = setting(
        "truncate",
        help="With line_by_line: how to handle lines longer than max_seq_length: truncate keeps the beginning, split "
        "makes several examples.",
        group=TASK,
        choices=LONG_LINES,
    )
    eval_fraction: float = setting(
        0.0,
        help="Fraction of the documents (with line_by_line, of the lines) to hold out: their records go into "
        "eval_output_file, without duplication by dupe_factor. random_seed and their text decide which.",
        group=TASK,
        at_least=0,
        below=1,
    )
    segmented_text: bool = setting(
        False,
        help="With do_whole_word_mask: the text has spaces between all words, including Chinese ones, and the "
        "characters of a Chinese word are masked together.",
        group=TASK,
    )
    word_list: str | None = setting(
        None,
        help="With do_whole_word_mask, for Chinese text without spaces: a file of words, one per line, whose "
        "characters are masked together.",
        group=TASK,
    )
    group_bytes: int = setting(
        GROUP_BYTES,
        help="Approximate size of a shard: files are grouped into shards, each processed on its own; input up to this "
        "size is a single shard.",
        group=ACTIONS,
        at_least=1,
        at_most=1 << 50,
    )
    num_workers: int = setting(
        1,
        help="Number of processes. The records do not depend on it.",
        group=ACTIONS,
        at_least=1,
        at_most=4096,
    )
    resume: bool = setting(
        False, help="Whether to keep the shards that an interrupted run of the same command finished.", group=ACTIONS
    )
    runner: str | None = setting(
        None,
        help="Run on Apache Beam with this runner (DirectRunner, FlinkRunner, SparkRunner, DataflowRunner); flags that "
        "this script does not know are passed to Beam.",
        group=ACTIONS,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_has_effect(
            self, ("num_workers",), self.runner is None, "is for local processes, not for --runner; omit it"
        )
        if (self.vocab_file is None) == (self.spm_model_file is None):
            raise InputError("Give either --vocab_file or --spm_model_file.")
        if self.spm_alpha and self.spm_model_file is None:
            raise InputError("--spm_alpha is for a SentencePiece model; give --spm_model_file.")
        if self.line_by_line and self.no_nsp:
            raise InputError(
                "--line_by_line makes examples of single lines, --no_nsp of as many sentences as fit; give one of them."
            )
        check_has_effect(self, ("long_lines",), self.line_by_line, "needs --line_by_line; give both or omit it")
        self.check_tables(self.inputs)
        check_has_effect(
            self, ("eval_output_file",), self.eval_fraction > 0, "needs --eval_fraction; give both or omit it"
        )
        self._check_words()
        self._check_outputs()

    def _check_words(self) -> None:
        names = ("segmented_text", "word_list")
        check_has_effect(
            self, names, self.do_whole_word_mask, "says which characters are masked together; add --do_whole_word_mask"
        )
        check_has_effect(
            self, names, self.vocab_file is not None, "needs --vocab_file, with which Chinese characters are tokens"
        )
        if self.segmented_text and self.word_list is not None:
            raise InputError("--segmented_text and --word_list both say where words end; give one of them.")

    def _check_outputs(self) -> None:
        outputs = self.outputs
        if not outputs:
            raise InputError("--output_file names no file; give a path or a comma-separated list of them.")
        sources = {file_system.realpath(path): "--input_file" for path in self.inputs}
        sources[file_system.realpath(self.pieces_file)] = "--vocab_file" if self.vocab_file else "--spm_model_file"
        if self.word_list:
            sources[file_system.realpath(self.word_list)] = "--word_list"
        seen: set[str] = set()
        for path in outputs:
            if _is_directory(path) and len(outputs) > 1:
                raise InputError(f"--output_file: {path!r} is a directory; name one directory, or only files.")
            self._check_output("--output_file", path, sources, seen)
        if self.eval_output:
            if _is_directory(self.eval_output):
                raise InputError(f"--eval_output_file: {self.eval_output!r} is a directory; name a file in it.")
            self._check_output("--eval_output_file", self.eval_output, sources, seen)

    def _check_output(self, flag: str, path: str, sources: dict[str, str], seen: set[str]) -> None:
        if not _is_directory(path):
            atomic.check_output(path)
        real = file_system.realpath(path)
        if real in sources:
            raise InputError(f"{flag}: {path!r} is read by {sources[real]}; write to another file.")
        if real in seen:
            raise InputError(f"{flag} names {path!r} twice; name each file once.")
        seen.add(real)

    @property
    def parameters(self) -> InstanceParameters:
        """The parameters of the instances."""
        names = [field.name for field in dataclasses.fields(InstanceParameters)]
        return InstanceParameters(**{name: getattr(self, name) for name in names})

    @property
    def layout(self) -> Layout:
        """The content of an instance."""
        return "lines" if self.line_by_line else "sentences" if self.no_nsp else "pairs"

    @property
    def pieces_file(self) -> str:
        """The path of the vocabulary or the SentencePiece model."""
        return str(self.vocab_file or self.spm_model_file)

    @property
    def files_read(self) -> list[str]:
        """The files that every shard needs, besides the text."""
        return [self.pieces_file, *([self.word_list] if self.word_list else [])]

    @property
    def inputs(self) -> list[str]:
        """The files to read, globs expanded, in order."""
        return files.expand(self.input_file, "--input_file")

    @property
    def outputs(self) -> list[str]:
        """The files to write, in order, or a single directory."""
        directory = os.path.dirname(self.output_file.rstrip("/"))
        if file_system.exists(self.output_file) or ("," in directory and file_system.isdir(directory)):
            return [self.output_file]  # its commas are part of the name
        return [path.strip() for path in self.output_file.split(",") if path.strip()]

    @property
    def output_directory(self) -> Path | None:
        """The directory for part files, if the output is a directory."""
        return file_system.path(self.outputs[0]) if _is_directory(self.outputs[0]) else None

    @property
    def eval_output(self) -> str | None:
        """The file for held-out records; None if nothing is held out."""
        if not self.eval_fraction:
            return None
        return self.eval_output_file or self.default_eval_output

    @property
    def default_eval_output(self) -> str:
        """The file for held-out records if no flag names one."""
        if directory := self.output_directory:
            return os.fspath(directory / run_files.EVAL_RECORDS)
        beginning, ending = os.path.splitext(self.outputs[0])
        return f"{beginning}.eval{ending}"

    @property
    def joined(self) -> list[str]:
        """The files that are concatenated from the files of all shards."""
        return [*([] if self.output_directory else self.outputs), *([self.eval_output] if self.eval_output else [])]

    @property
    def summary_file(self) -> Path:
        """The path of the summary: in the directory, or next to the first output."""
        if self.output_directory:
            return self.output_directory / run_files.DATA_SUMMARY
        return file_system.path(run_files.summary_of_records(self.outputs[0]))


def _is_directory(path: str) -> bool:
    return path.endswith("/") or file_system.isdir(path)

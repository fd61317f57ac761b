"""What `export_model.py` can be asked to do."""

import dataclasses

from bert_tf2.bounds import check_most
from bert_tf2.errors import InputError
from bert_tf2.flag_values import MAY_BE_INFINITE, check_floats, check_has_effect

SAVED_MODEL, ENCODER, ONNX = "saved_model", "encoder", "onnx"
FORMATS = (SAVED_MODEL, ENCODER, ONNX)
NONE, INT8 = "none", "int8"
QUANTIZATIONS = (NONE, INT8)
LANGUAGES = ("en", "zh")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """The flags of `export_model.py`. None is "not given": what the model was trained with.

    Attributes:
      export_dir: the folder to write to. SavedModels become its numbered subfolders, as TensorFlow Serving wants them.
      output_dir: the model, a folder of a training; or
      init_checkpoint: a checkpoint, its folder, or a Hugging Face folder.
      format: "saved_model"; "encoder", a SavedModel beside a checkpoint to fine-tune from; "onnx".
      version: number of the SavedModel; None: the next free one.
      bert_config_file: instead of the config in the model's folder.
      vocab_file: instead of the vocabulary in the model's folder; or
      spm_model_file: a SentencePiece model.
      do_lower_case: whether to strip case and accents.
      max_seq_length: tokens of a sequence at most; longer ones are cut or divided.
      text_pairs: whether a classifier takes two texts.
      use_averages: whether to export the moving averages of a training with `--ema_decay`.
      version_2_with_negative: of question answering: whether there may be no answer; this and what follows.
      language: how contexts are cut into words.
      n_best_size: starts, and ends, to try in each window.
      max_answer_length: longest answer, in tokens.
      null_score_diff_threshold: from which score on there is no answer: what the evaluation has found, else 0.
      quantize: "int8" for ONNX with weights of 8 bits.
      dev_file: rows with labels on which the loss of accuracy by quantization is measured.
      batch_size: rows of a batch of that measurement.

    Raises:
      InputError: a value is impossible, or flags exclude each other.
    """

    export_dir: str
    output_dir: str | None = None
    init_checkpoint: str | None = None
    format: str = SAVED_MODEL
    version: int | None = None
    bert_config_file: str | None = None
    vocab_file: str | None = None
    spm_model_file: str | None = None
    do_lower_case: bool | None = None
    max_seq_length: int | None = None
    text_pairs: bool | None = None
    use_averages: bool = False
    version_2_with_negative: bool | None = None
    language: str | None = None
    n_best_size: int = 20
    max_answer_length: int = 30
    null_score_diff_threshold: float | None = dataclasses.field(default=None, metadata=MAY_BE_INFINITE)
    quantize: str = NONE
    dev_file: str | None = None
    batch_size: int = 32

    def __post_init__(self) -> None:
        check_floats(self)
        if bool(self.output_dir) == bool(self.init_checkpoint):
            raise InputError(
                "Give either --output_dir, the folder of a training, or --init_checkpoint, any other model."
            )
        for name, choices in (("format", FORMATS), ("quantize", QUANTIZATIONS)):
            if getattr(self, name) not in choices:
                raise InputError(f"Unknown --{name} {getattr(self, name)!r}; choose one of {', '.join(choices)}.")
        if self.vocab_file and self.spm_model_file:
            raise InputError("--vocab_file and --spm_model_file exclude each other; give the one that the model has.")
        for name in ("n_best_size", "max_answer_length", "batch_size", "version"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"--{name}={value}; it has to be at least 1.")
        check_most(self)
        if self.language is not None and self.language not in LANGUAGES:
            raise InputError(f"Unknown --language {self.language!r}; choose one of {', '.join(LANGUAGES)}.")
        if self.format != ONNX and (self.quantize != NONE or self.dev_file):
            flag = "dev_file" if self.dev_file else "quantize"
            raise InputError(f"--{flag} is for --format=onnx; leave it away.")
        if self.dev_file and self.quantize == NONE:
            raise InputError("--dev_file is where the loss by --quantize=int8 is measured; give both or none.")
        if self.version is not None and self.format != SAVED_MODEL:
            raise InputError(f"--version is for --format={SAVED_MODEL}; leave it away.")
        for name, has_effect, needed in (
            ("batch_size", self.quantize != NONE, "is for the measurement of --quantize=int8"),
            ("text_pairs", self.format != ENCODER, "is for classifiers, not for --format=encoder"),
        ):
            check_has_effect(self, (name,), has_effect, f"{needed}; omit it")

    @property
    def model(self) -> str:
        """The model, whichever flag names it."""
        return str(self.output_dir or self.init_checkpoint)

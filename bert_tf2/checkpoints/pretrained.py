"""Existing models, from any `--init_checkpoint` or `output_dir`: config, vocabulary, case, tokenizer, weights.

A model is a checkpoint of the original BERT, a directory of this project, or a Hugging Face directory. The last two
(and Google's releases) have the model's config and vocabulary next to the weights, so flags for them can be omitted.
Flags take precedence, then the directory of an earlier run, then the files next to the checkpoint. The name of a public
model stands for the directory into which it is downloaded (`by_name`).
"""

import dataclasses
import logging
import os
from collections.abc import Iterable

from bert_tf2.checkpoints import (
    by_name,
    google,
    google_archives,
    huggingface,
    listing,
    model_garden,
    task_metadata,
    tokenizer_options,
)
from bert_tf2.checkpoints.google import load as load
from bert_tf2.checkpoints.huggingface_config import TokenizerSettings
from bert_tf2.checkpoints.paths import check_exists as check_exists
from bert_tf2.checkpoints.paths import hugging_face_directory as hugging_face_directory
from bert_tf2.configs.model import BertConfig
from bert_tf2.configs.tokenizer import TokenizerConfig
from bert_tf2.errors import InputError, counted
from bert_tf2.io import atomic, file_system, run_files
from bert_tf2.tokenization.auto import VOCAB_FILE as VOCAB_FILE
from bert_tf2.tokenization.auto import Tokenizer, VocabularyFile, check_vocab_size
from bert_tf2.tokenization.vocab_case import looks_cased, validate_case_matches_checkpoint, warn_about_case

logger = logging.getLogger(__name__)

CONFIG_FILE = run_files.BERT_CONFIG
_DEFAULT_CASE = True  # as in the original's scripts
_CASE_VARIABLE = "do_lower_case"  # in a TF-Hub SavedModel
_MAX_ROUNDING = 1024  # the most rows by which an embedding table is rounded up for efficiency
# Keys that may differ between the flag's config and the directory's, because they only affect training.
_TRAINING_ONLY = ("attention_probs_dropout_prob", "hidden_dropout_prob", "initializer_range")


@dataclasses.dataclass(frozen=True)
class Pretrained:
    """The config, vocabulary, case and weights of a model.

    Attributes:
      bert_config: the encoder's config.
      vocabulary: the vocabulary.
      do_lower_case: whether to lower-case the text and strip accents, unless a task's description says otherwise.
      checkpoint: the path to load the weights from; None if the model has random weights.
    """

    bert_config: BertConfig
    vocabulary: VocabularyFile
    do_lower_case: bool
    checkpoint: str | None

    def tokenizer(self, do_lower_case: bool) -> Tokenizer:
        """The tokenizer of the model.

        Args:
          do_lower_case: whether to lower-case the text and strip accents.

        Raises:
          InputError: the vocabulary cannot be read, is larger than the model's `vocab_size`, or `do_lower_case`
            contradicts the name of the checkpoint.
        """
        validate_case_matches_checkpoint(do_lower_case, self.checkpoint)
        tokenizer, path = self.vocabulary.tokenizer(do_lower_case), self.vocabulary.path
        pieces, vocab_size = tokenizer.is_continuation.size, self.bert_config.vocab_size
        check_vocab_size(path, pieces, vocab_size)
        # With a vocabulary of another model nothing fails, but the results are worthless.
        if vocab_size - pieces >= _MAX_ROUNDING:
            logger.warning(
                "%s has %s pieces, the model's vocab_size is %s: is this the model's vocabulary?",
                *(path, f"{pieces:,}", f"{vocab_size:,}"),
            )
        if not self.vocabulary.is_sentencepiece:
            warn_about_case(tokenizer.vocab, do_lower_case, path)
        return tokenizer

    def check_sequences(self, max_seq_length: int, segments: int) -> None:
        """Checks that the model has enough positions and segment types.

        Args:
          max_seq_length: the length of the longest sequence.
          segments: the number of segment types in a sequence.

        Raises:
          InputError: the model has fewer.
        """
        positions, types = self.bert_config.max_position_embeddings, self.bert_config.type_vocab_size
        if max_seq_length > positions:
            raise InputError(
                f"--max_seq_length={max_seq_length}, but the model has only {counted(positions, 'position')} "
                f"(max_position_embeddings); give --max_seq_length={positions} or less, or add positions with "
                "convert_checkpoint.py --max_position_embeddings."
            )
        if segments > types:
            raise InputError(
                f"Pairs of texts need {segments} segment types, but the model has only {types} (type_vocab_size)."
            )

    def write_files(self, directory: str) -> None:
        """Writes the config and the vocabulary into a model's directory, so that it needs no other files.

        Raises:
          OSError: the files cannot be written.
        """
        save_config(directory, self.bert_config)
        self.vocabulary.copy_into(directory)


def find(
    init_checkpoint: str | None,
    output_dir: str | None = None,
    *,
    bert_config_file: str | None = None,
    vocab_file: str | None = None,
    spm_model_file: str | None = None,
    do_lower_case: bool | None = None,
    num_hidden_layers: int | None = None,
    tokenizer: TokenizerConfig | None = None,
    infer_case: bool = False,
) -> Pretrained:
    """The model that a script's flags specify.

    Args:
      init_checkpoint: as in `load`, or None.
      output_dir: the directory of a training run, whose files take precedence over those next to `init_checkpoint`; or
        None.
      bert_config_file, vocab_file, spm_model_file, do_lower_case, num_hidden_layers, tokenizer: the flags; None if
        omitted.
      infer_case: whether to infer the case from the vocabulary if nothing else specifies it; else lower case is the
        default.

    Raises:
      InputError: a file is missing, cannot be read, or is not what the model was trained with.
    """
    init_checkpoint = _local_path(init_checkpoint)
    vocabulary = find_vocabulary(init_checkpoint, vocab_file, spm_model_file, output_dir, tokenizer)
    bert_config = find_bert_config(init_checkpoint, bert_config_file, output_dir, num_hidden_layers)
    pieces = vocabulary.tokenizer(do_lower_case=False).vocab if infer_case else None
    lower = find_do_lower_case(init_checkpoint, do_lower_case, output_dir, pieces)
    return Pretrained(bert_config, vocabulary, lower, init_checkpoint)


# --- Config ----------------------------------------------------------------------------------------------------------


def model_directory(init_checkpoint: str) -> str:
    """The directory in which a checkpoint's config and vocabulary are expected."""
    init_checkpoint = by_name.local_path(init_checkpoint)
    path = hugging_face_directory(init_checkpoint)
    directory = init_checkpoint if file_system.isdir(init_checkpoint) else os.path.dirname(init_checkpoint)
    return path or listing.assets_directory(directory)


def _local_path(init_checkpoint: str | None) -> str | None:
    return by_name.local_path(init_checkpoint) if init_checkpoint else init_checkpoint


def find_bert_config(
    init_checkpoint: str | None,
    bert_config_file: str | None = None,
    output_dir: str | None = None,
    num_hidden_layers: int | None = None,
) -> BertConfig:
    """The model's config: the given file, else that of an earlier run, else the one next to the checkpoint.

    It is compared with the checkpoint from which the run resumes or starts.

    Args:
      init_checkpoint: as in `load`, or None.
      bert_config_file: Google's `bert_config.json` or Hugging Face's `config.json`, or None.
      output_dir: the directory of a training run, or None.
      num_hidden_layers: how many of the checkpoint's layers to use, counted from the first; None for all.

    Raises:
      InputError: there is no config, it cannot be read or does not match the checkpoint, or the checkpoint has fewer
        layers.
    """
    init_checkpoint = _local_path(init_checkpoint)
    own_file = _own_config_file(init_checkpoint, output_dir)
    if bert_config_file is None and own_file is None:
        if init_checkpoint:
            check_exists(init_checkpoint)
            if config := _config_of_weights(init_checkpoint):
                return config.with_first_layers(num_hidden_layers, init_checkpoint)
        advice = "give --bert_config_file, the JSON file with the model config."
        raise _missing(init_checkpoint, output_dir, CONFIG_FILE, advice)
    config = BertConfig.from_json_file(str(bert_config_file or own_file))
    if bert_config_file is not None and own_file is not None and not file_system.samefile(own_file, bert_config_file):
        _warn_of_differences(config, bert_config_file, BertConfig.from_json_file(own_file), own_file)
    config = config.with_first_layers(num_hidden_layers, str(bert_config_file or own_file))
    if output_dir is not None and listing.is_listed(output_dir):
        check_config(config, output_dir, num_hidden_layers=num_hidden_layers)
    elif init_checkpoint:
        check_config(config, init_checkpoint, is_needed=True, num_hidden_layers=num_hidden_layers)
    return config


def check_config(
    config: BertConfig, checkpoint: str, is_needed: bool = False, num_hidden_layers: int | None = None
) -> None:
    """Checks a config against the shapes in a checkpoint, before a model, possibly a huge one, is created.

    Args:
      config: the config of the model to be created.
      checkpoint: as `init_checkpoint` in `load`.
      is_needed: whether the checkpoint must exist and be readable; else its errors are left to loading it.
      num_hidden_layers: the flag; if specified, a checkpoint to start from may have more layers than the config.

    Raises:
      InputError: the config does not match the checkpoint.
    """
    if hugging_face_directory(checkpoint):
        return
    if is_needed:
        check_exists(checkpoint)
    try:
        prefix = listing.find(checkpoint)
        reader = google.open_reader(prefix)
        shapes: dict[str, list[int]] = reader.get_variable_to_shape_map()
    except InputError:
        if is_needed:
            raise
        return
    hidden = config.hidden_size
    expected = {
        google.WORD_EMBEDDINGS: [config.vocab_size, hidden],
        "bert/embeddings/position_embeddings": [config.max_position_embeddings, hidden],
        "bert/embeddings/token_type_embeddings": [config.type_vocab_size, hidden],
        "bert/encoder/layer_0/intermediate/dense/kernel": [hidden, config.intermediate_size],
    }
    google.check_shapes(expected, shapes, prefix)
    heads = getattr(reader, "num_attention_heads", None) or config.num_attention_heads
    if heads != config.num_attention_heads:
        raise InputError(
            f"The encoder in {prefix} has {counted(heads, 'attention head')}, the BERT "
            f"config {config.num_attention_heads} (num_attention_heads); use the bert_config.json that belongs to the "
            "checkpoint."
        )
    layers = {huggingface.layer_index(name) for name in shapes} - {-1}
    if num_hidden_layers is None or not layers:
        if layers and len(layers) != config.num_hidden_layers:
            raise InputError(
                f"The encoder in {prefix} does not match the BERT config: it has {counted(len(layers), 'layer')}, the "
                f"config {config.num_hidden_layers} (num_hidden_layers); use the bert_config.json that belongs to the "
                "checkpoint."
            )
    elif len(layers) < num_hidden_layers or (len(layers) > num_hidden_layers and not is_needed):
        others = f"at most {len(layers)}" if is_needed else "another --output_dir"
        raise InputError(
            f"--num_hidden_layers={num_hidden_layers}, but the model in {prefix} has {counted(len(layers), 'layer')}; "
            f"omit it, or give {others}."
        )


def _config_of_weights(checkpoint: str) -> BertConfig | None:
    """The config that the shapes in a checkpoint imply, with BERT's other values; None if they do not imply one."""
    try:
        prefix = listing.find(checkpoint)
        values = model_garden.config_values(google.open_reader(prefix))
    except InputError:
        return None
    if values is None:
        return None
    logger.info("There is no %s next to %s; inferring the model config from the weights.", CONFIG_FILE, prefix)
    return BertConfig.from_dict(values)


def _own_config_file(init_checkpoint: str | None, output_dir: str | None) -> str | None:
    """The config file of an earlier run, else the one next to a checkpoint; None if there is neither."""
    paths = [os.path.join(output_dir, CONFIG_FILE)] if output_dir is not None else []
    if init_checkpoint:
        name = huggingface.CONFIG_FILE if hugging_face_directory(init_checkpoint) else CONFIG_FILE
        paths.append(os.path.join(model_directory(init_checkpoint), name))
    return next(filter(file_system.isfile, paths), None)


def save_config(directory: str, bert_config: BertConfig) -> None:
    """Writes the config into a model's directory.

    Raises:
      OSError: the file cannot be written.
    """
    with atomic.replacing(os.path.join(directory, CONFIG_FILE)) as file:
        file.write(bert_config.to_json_string())


def _warn_of_differences(config: BertConfig, flag_file: str, own_config: BertConfig, own_file: str) -> None:
    """Warns if the config of `--bert_config_file` differs from the checkpoint's own."""
    names = [field.name for field in dataclasses.fields(BertConfig) if field.name not in _TRAINING_ONLY]
    different = [name for name in names if getattr(config, name) != getattr(own_config, name)]
    if different:
        logger.warning(
            "--bert_config_file=%s is used, but the checkpoint's own %s differs: %s.",
            flag_file,
            own_file,
            ", ".join(f"{name} {getattr(config, name)} there {getattr(own_config, name)}" for name in different),
        )


# --- Vocabulary ------------------------------------------------------------------------------------------------------


def find_vocabulary(
    init_checkpoint: str | None,
    vocab_file: str | None = None,
    spm_model_file: str | None = None,
    output_dir: str | None = None,
    tokenizer: TokenizerConfig | None = None,
) -> VocabularyFile:
    """The vocabulary: the given file, else that of an earlier run, else the one next to the checkpoint.

    Tokenizer options also come from the flags, else from an earlier run, else from the checkpoint's directory.

    Args:
      init_checkpoint: as in `load`, or None.
      vocab_file: a `vocab.txt`, or None.
      spm_model_file: a SentencePiece model, or None.
      output_dir: the directory of a training run, or None.
      tokenizer: the flags with tokenizer options, or None.

    Raises:
      InputError: there is no vocabulary, or the given one differs from that of the earlier run.
    """
    vocabulary = _find_vocabulary_file(init_checkpoint, vocab_file, spm_model_file, output_dir)
    model_dir = model_directory(init_checkpoint) if init_checkpoint else None
    vocabulary = tokenizer_options.with_options(vocabulary, tokenizer or TokenizerConfig(), model_dir, output_dir)
    if output_dir is not None and (vocab_file or spm_model_file):
        tokenizer_options.check_same_vocabulary(output_dir, vocabulary)
    return vocabulary


def _find_vocabulary_file(
    init_checkpoint: str | None, vocab_file: str | None, spm_model_file: str | None, output_dir: str | None
) -> VocabularyFile:
    vocabulary = VocabularyFile.from_flags(vocab_file, spm_model_file)
    if vocabulary:
        return vocabulary
    init_checkpoint = _local_path(init_checkpoint)
    directories = [output_dir] if output_dir is not None else []
    if init_checkpoint:
        directories.append(model_directory(init_checkpoint))
    for directory in directories:
        if vocabulary := VocabularyFile.in_directory(directory):
            return vocabulary
    raise _no_vocabulary(init_checkpoint, output_dir)


def vocabulary_to_convert(directory: str) -> str | None:
    """The file with a directory's WordPiece vocabulary, which may be `tokenizer.json`; None without a vocabulary."""
    paths = [os.path.join(directory, name) for name in (VOCAB_FILE, huggingface.TOKENIZER_FILE)]
    return next(filter(file_system.isfile, paths), None)


def _no_vocabulary(init_checkpoint: str | None, output_dir: str | None) -> InputError:
    if init_checkpoint:
        directory = model_directory(init_checkpoint)
        if vocabulary_to_convert(directory):
            return InputError(
                f"{directory} has no {VOCAB_FILE}; its vocabulary is in {huggingface.TOKENIZER_FILE}. Convert it once, "
                f"with convert_checkpoint.py --init_checkpoint={directory} --output_dir=NEW, and give "
                "--init_checkpoint=NEW."
            )
        check_exists(init_checkpoint)
    advice = "give --vocab_file, the vocabulary of the model."
    return _missing(init_checkpoint, output_dir, VOCAB_FILE, advice)


def _missing(init_checkpoint: str | None, output_dir: str | None, name: str, advice: str) -> InputError:
    """An error that says in which directories a file was expected, if there are any."""
    directories = [output_dir] if output_dir is not None and listing.is_listed(output_dir) else []
    if init_checkpoint:
        directories.append(model_directory(init_checkpoint) or ".")
    if not directories:
        return InputError(advice[0].upper() + advice[1:])
    if len({file_system.realpath(directory) for directory in directories}) == 1:
        return InputError(f"{directories[0]} has no {name}; {advice}")
    return InputError(f"Neither {directories[0]} nor {directories[1]} has a {name}; {advice}")


# --- Case ------------------------------------------------------------------------------------------------------------


def find_do_lower_case(
    init_checkpoint: str | None,
    flag: bool | None = None,
    output_dir: str | None = None,
    pieces: Iterable[str] | None = None,
) -> bool:
    """Whether the tokenizer lower-cases: by the flag, else by a directory of the model, else the default.

    Logs a warning if a Hugging Face directory's tokenizer has settings that this project's does not support.

    Args:
      init_checkpoint: as in `load`, or None.
      flag: `--do_lower_case`; None if omitted.
      output_dir: the directory of a training run, which takes precedence over the checkpoint's; or None.
      pieces: the vocabulary from which to infer the case if no directory specifies it; None: lower case is the default,
        as in the original's scripts.

    Raises:
      InputError: the tokenizer's files, or `task.json`, cannot be read.
    """
    init_checkpoint = _local_path(init_checkpoint)
    settings = _tokenizer_settings(init_checkpoint)
    if flag is not None:
        return flag
    saved, directory = None, output_dir
    if output_dir is not None:
        saved = task_metadata.setting(output_dir, "do_lower_case", bool)
        if saved is None:  # a pre-training has no task.json
            saved = TokenizerSettings.read(output_dir).do_lower_case
    if saved is None and init_checkpoint:
        directory = model_directory(init_checkpoint)
        saved = task_metadata.setting(directory, "do_lower_case", bool)
        if saved is None:
            saved = settings.do_lower_case
        if saved is None:
            saved = google_archives.do_lower_case(directory)
        if saved is None:
            saved = _case_of_saved_model(init_checkpoint)
    if saved is not None:
        if not saved:
            logger.info("Keeping the case of the text (--do_lower_case=false), according to %s.", directory or ".")
        return bool(saved)
    return _DEFAULT_CASE if pieces is None else not looks_cased(pieces)


def _case_of_saved_model(init_checkpoint: str) -> bool | None:
    """Whether a TF-Hub SavedModel is for lower-cased text; None if it does not specify it, or is not a SavedModel."""
    if not (file_system.isdir(init_checkpoint) and listing.is_saved_model(init_checkpoint)):
        return None
    prefix = listing.find(init_checkpoint)
    reader = google.open_reader(prefix)
    return bool(google.read(reader, _CASE_VARIABLE, prefix)) if reader.has_tensor(_CASE_VARIABLE) else None


def _tokenizer_settings(init_checkpoint: str | None) -> TokenizerSettings:
    """The settings in the files of a Hugging Face tokenizer in a checkpoint's directory; warns of unsupported ones."""
    if not init_checkpoint:
        return TokenizerSettings()
    directory = model_directory(init_checkpoint)
    settings = TokenizerSettings.read(directory)
    if settings.differences:
        logger.warning(
            "The tokenizer of %s differs from this one (%s there): some text will be split differently.",
            directory,
            ", ".join(settings.differences),
        )
    return settings

"""Existing models, from any `--init_checkpoint` or `output_dir`: config, vocabulary, case, tokenizer, weights.

It is a checkpoint of the original BERT, a directory of this project's, or a Hugging Face directory. The last two (and
Google's releases) have the model's config and vocabulary next to the weights, so they need not be given. Flags take
precedence, then the directory of an earlier run, then the files next to the checkpoint. The name of a public model
stands for the directory into which it is downloaded (`by_name`).
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
from bert_tf2.checkpoints.paths import hugging_face_folder as hugging_face_folder
from bert_tf2.configs.model import BertConfig
from bert_tf2.configs.tokenizer import TokenizerConfig
from bert_tf2.errors import InputError, counted
from bert_tf2.io import atomic, file_system, run_files
from bert_tf2.tokenization.auto import VOCAB_FILE as VOCAB_FILE
from bert_tf2.tokenization.auto import Tokenizer, VocabularyFile, check_vocab_size
from bert_tf2.tokenization.vocab_case import looks_cased, validate_case_matches_checkpoint, warn_of_case

logger = logging.getLogger(__name__)

CONFIG_FILE = run_files.BERT_CONFIG
_DEFAULT_CASE = True  # of the original's scripts
_CASE_VARIABLE = "do_lower_case"  # of a SavedModel of TF-Hub
_ROUNDED_UP = 1024  # rows that tables have beyond their vocabulary at most, to be of a size that devices like
# Keys that may differ between a given config and the directory's, because they change training only.
_OF_TRAINING = ("attention_probs_dropout_prob", "hidden_dropout_prob", "initializer_range")


@dataclasses.dataclass(frozen=True)
class Pretrained:
    """Config, vocabulary and case of a model, and its weights.

    Attributes:
      bert_config: the encoder's config.
      vocabulary: its vocabulary.
      do_lower_case: whether to lower-case the text and strip accents, unless a task's description says otherwise.
      checkpoint: the argument of `load`; None if the model has random weights.
    """

    bert_config: BertConfig
    vocabulary: VocabularyFile
    do_lower_case: bool
    checkpoint: str | None

    def tokenizer(self, do_lower_case: bool) -> Tokenizer:
        """The tokenizer.

        Raises:
          InputError: the vocabulary cannot be read, is larger than the model's, or the case is certainly wrong.
        """
        validate_case_matches_checkpoint(do_lower_case, self.checkpoint)
        tokenizer, path = self.vocabulary.tokenizer(do_lower_case), self.vocabulary.path
        pieces, vocab_size = tokenizer.is_continuation.size, self.bert_config.vocab_size
        check_vocab_size(path, pieces, vocab_size)
        # Nothing fails where a vocabulary is hardly the model's, but results are worthless.
        if vocab_size - pieces >= _ROUNDED_UP:
            logger.warning(
                "%s has %s pieces, the model's vocab_size is %s: is this the model's vocabulary?",
                *(path, f"{pieces:,}", f"{vocab_size:,}"),
            )
        if not self.vocabulary.is_sentencepiece:
            warn_of_case(tokenizer.vocab, do_lower_case, path)
        return tokenizer

    def check_sequences(self, max_seq_length: int, segments: int) -> None:
        """Checks that the model has enough positions and segment types.

        Raises:
          InputError: it has not; with the numbers.
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

    def keep(self, directory: str) -> None:
        """Writes config and vocabulary into a model's directory, so that it needs nothing else.

        Raises:
          OSError: they cannot be written.
        """
        keep_config(directory, self.bert_config)
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
    guesses_case: bool = False,
) -> Pretrained:
    """The model that a script's flags specify.

    Args:
      init_checkpoint: as in `load`, or None.
      output_dir: the directory of a training, whose files go before those beside `init_checkpoint`; or None.
      bert_config_file, vocab_file, spm_model_file, do_lower_case, num_hidden_layers, tokenizer: the flags; None if
        omitted.
      guesses_case: whether the vocabulary decides if nothing else says the case; else lower case is the default.

    Raises:
      InputError: something is missing, cannot be read, or is not what the model was trained with.
    """
    init_checkpoint = _local(init_checkpoint)
    vocabulary = find_vocabulary(init_checkpoint, vocab_file, spm_model_file, output_dir, tokenizer)
    bert_config = find_bert_config(init_checkpoint, bert_config_file, output_dir, num_hidden_layers)
    pieces = vocabulary.tokenizer(do_lower_case=False).vocab if guesses_case else None
    lower = find_do_lower_case(init_checkpoint, do_lower_case, output_dir, pieces)
    return Pretrained(bert_config, vocabulary, lower, init_checkpoint)


# --- Config ----------------------------------------------------------------------------------------------------------


def folder_of(init_checkpoint: str) -> str:
    """The directory that a checkpoint's config and vocabulary are expected in."""
    init_checkpoint = by_name.local(init_checkpoint)
    path = hugging_face_folder(init_checkpoint)
    directory = init_checkpoint if file_system.isdir(init_checkpoint) else os.path.dirname(init_checkpoint)
    return path or listing.files_beside(directory)


def _local(init_checkpoint: str | None) -> str | None:
    return by_name.local(init_checkpoint) if init_checkpoint else init_checkpoint


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
      output_dir: the directory of a training, or None.
      num_hidden_layers: how many of the checkpoint's layers, the first ones, the model is to have; None: all.

    Raises:
      InputError: there is none, it cannot be read, it is not the checkpoint's, or that has fewer layers.
    """
    init_checkpoint = _local(init_checkpoint)
    beside = _config_beside(init_checkpoint, output_dir)
    if bert_config_file is None and beside is None:
        if init_checkpoint:
            check_exists(init_checkpoint)
            if config := _config_of_weights(init_checkpoint):
                return config
        advice = "give --bert_config_file, the JSON file with the model config."
        raise _missing(init_checkpoint, output_dir, CONFIG_FILE, advice)
    config = BertConfig.from_json_file(str(bert_config_file or beside))
    if bert_config_file is not None and beside is not None and not file_system.samefile(beside, bert_config_file):
        _warn_of_differences(config, bert_config_file, BertConfig.from_json_file(beside), beside)
    config = config.with_first_layers(num_hidden_layers, str(bert_config_file or beside))
    if output_dir is not None and listing.is_listed(output_dir):
        check_config(config, output_dir, num_hidden_layers=num_hidden_layers)
    elif init_checkpoint:
        check_config(config, init_checkpoint, is_needed=True, num_hidden_layers=num_hidden_layers)
    return config


def check_config(
    config: BertConfig, checkpoint: str, is_needed: bool = False, num_hidden_layers: int | None = None
) -> None:
    """Checks a config against the shapes in a checkpoint, before a model of possibly any size is created.

    Args:
      config: of the model to be made.
      checkpoint: as `init_checkpoint` in `load`.
      is_needed: whether there must be such a checkpoint; else loading it says what is wrong with it, if it matters.
      num_hidden_layers: the flag; where it is given, a checkpoint to start from may have more layers than the config.

    Raises:
      InputError: they do not belong together.
    """
    if hugging_face_folder(checkpoint):
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
    layers = {huggingface.layer_of(name) for name in shapes} - {-1}
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
    """The config of a checkpoint without one, where its shapes say all sizes; what they do not say is as in BERT."""
    try:
        prefix = listing.find(checkpoint)
        sizes = model_garden.sizes(google.open_reader(prefix))
    except InputError:
        return None
    if sizes is None:
        return None
    logger.info("There is no %s next to %s; inferring the model config from the weights.", CONFIG_FILE, prefix)
    return BertConfig.from_dict(sizes)


def _config_beside(init_checkpoint: str | None, output_dir: str | None) -> str | None:
    """The config of an earlier run, else the one next to a checkpoint; None if there is none."""
    paths = [os.path.join(output_dir, CONFIG_FILE)] if output_dir is not None else []
    if init_checkpoint:
        name = huggingface.CONFIG_FILE if hugging_face_folder(init_checkpoint) else CONFIG_FILE
        paths.append(os.path.join(folder_of(init_checkpoint), name))
    return next(filter(file_system.isfile, paths), None)


def keep_config(directory: str, bert_config: BertConfig) -> None:
    """Writes the config into a model's directory.

    Raises:
      OSError: it cannot be written.
    """
    with atomic.replacing(os.path.join(directory, CONFIG_FILE)) as file:
        file.write(bert_config.to_json_string())


def _warn_of_differences(given: BertConfig, given_file: str, found: BertConfig, found_file: str) -> None:
    names = [field.name for field in dataclasses.fields(BertConfig) if field.name not in _OF_TRAINING]
    different = [name for name in names if getattr(given, name) != getattr(found, name)]
    if different:
        logger.warning(
            "--bert_config_file=%s is used, but the checkpoint's own %s differs: %s.",
            given_file,
            found_file,
            ", ".join(f"{name} {getattr(given, name)} there {getattr(found, name)}" for name in different),
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

    Tokenizer options, too, come from the flags, else from an earlier run, else from the checkpoint's directory.

    Args:
      init_checkpoint: as in `load`, or None.
      vocab_file: a `vocab.txt`, or None.
      spm_model_file: a SentencePiece model, or None.
      output_dir: the directory of a training, or None.
      tokenizer: the flags that say how text is treated; None if there are none.

    Raises:
      InputError: there is none, or the given one is not what the earlier training had.
    """
    vocabulary = _find_vocabulary_file(init_checkpoint, vocab_file, spm_model_file, output_dir)
    beside = folder_of(init_checkpoint) if init_checkpoint else None
    vocabulary = tokenizer_options.with_options(vocabulary, tokenizer or TokenizerConfig(), beside, output_dir)
    if output_dir is not None and (vocab_file or spm_model_file):
        tokenizer_options.check_kept(output_dir, vocabulary)
    return vocabulary


def _find_vocabulary_file(
    init_checkpoint: str | None, vocab_file: str | None, spm_model_file: str | None, output_dir: str | None
) -> VocabularyFile:
    given = VocabularyFile.given(vocab_file, spm_model_file)
    if given:
        return given
    init_checkpoint = _local(init_checkpoint)
    directories = [output_dir] if output_dir is not None else []
    if init_checkpoint:
        directories.append(folder_of(init_checkpoint))
    for directory in directories:
        if found := VocabularyFile.inside(directory):
            return found
    raise _no_vocabulary(init_checkpoint, output_dir)


def vocabulary_to_convert(directory: str) -> str | None:
    """The WordPiece vocabulary in a model's directory, which may be in its `tokenizer.json` alone; None without one."""
    paths = [os.path.join(directory, name) for name in (VOCAB_FILE, huggingface.TOKENIZER_FILE)]
    return next(filter(file_system.isfile, paths), None)


def _no_vocabulary(init_checkpoint: str | None, output_dir: str | None) -> InputError:
    if init_checkpoint:
        directory = folder_of(init_checkpoint)
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
    """An error that says where a file was sought, as far as there is a model at all."""
    places = [output_dir] if output_dir is not None and listing.is_listed(output_dir) else []
    if init_checkpoint:
        places.append(folder_of(init_checkpoint) or ".")
    if not places:
        return InputError(advice[0].upper() + advice[1:])
    if len({file_system.realpath(place) for place in places}) == 1:
        return InputError(f"{places[0]} has no {name}; {advice}")
    return InputError(f"Neither {places[0]} nor {places[1]} has a {name}; {advice}")


# --- Case ------------------------------------------------------------------------------------------------------------


def find_do_lower_case(
    init_checkpoint: str | None,
    given: bool | None = None,
    output_dir: str | None = None,
    pieces: Iterable[str] | None = None,
) -> bool:
    """Whether the tokenizer lower-cases: as given, else as a directory of the model says, else the default.

    Logs a warning if a Hugging Face directory's tokenizer does something that the one here does not.

    Args:
      init_checkpoint: as in `load`, or None.
      given: by `--do_lower_case`.
      output_dir: the directory of a training, which is asked before the checkpoint's; or None.
      pieces: a vocabulary that decides if no directory says it; None: lower case is the default then, as in the
        original's scripts.

    Raises:
      InputError: the tokenizer's files, or `task.json`, cannot be read.
    """
    init_checkpoint = _local(init_checkpoint)
    settings = _tokenizer_settings(init_checkpoint)
    if given is not None:
        return given
    found, directory = None, output_dir
    if output_dir is not None:
        found = task_metadata.setting(output_dir, "do_lower_case", bool)
    if found is None and init_checkpoint:
        directory = folder_of(init_checkpoint)
        found = task_metadata.setting(directory, "do_lower_case", bool)
        if found is None:
            found = settings.do_lower_case
        if found is None:
            found = google_archives.do_lower_case(directory)
        if found is None:
            found = _case_of_saved_model(init_checkpoint)
    if found is not None:
        if not found:
            logger.info("Keeping the case of the text (--do_lower_case=false), according to %s.", directory or ".")
        return bool(found)
    return _DEFAULT_CASE if pieces is None else not looks_cased(pieces)


def _case_of_saved_model(init_checkpoint: str) -> bool | None:
    """The case of a TF-Hub SavedModel; None if it does not say, or is something else."""
    if not (file_system.isdir(init_checkpoint) and listing.is_saved_model(init_checkpoint)):
        return None
    reader = google.open_reader(listing.find(init_checkpoint))
    return bool(reader.get_tensor(_CASE_VARIABLE)) if reader.has_tensor(_CASE_VARIABLE) else None


def _tokenizer_settings(init_checkpoint: str | None) -> TokenizerSettings:
    """Those of a directory with files of Hugging Face's tokenizers."""
    if not init_checkpoint:
        return TokenizerSettings()
    directory = folder_of(init_checkpoint)
    settings = TokenizerSettings.read(directory)
    if settings.differences:
        logger.warning(
            "The tokenizer of %s differs from this one (%s there): some text will be split differently.",
            directory,
            ", ".join(settings.differences),
        )
    return settings

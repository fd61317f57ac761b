"""A model that is there, from any `--init_checkpoint` or `output_dir`: config, vocabulary, case, tokenizer, weights.

It is a checkpoint of the original BERT, a directory of this project's, or a Hugging Face directory. The last two (and
Google's releases) have the model's config and vocabulary beside the weights, so that they need not be given. What a
flag says comes first, then the directory of an earlier training, then what is beside the checkpoint.
"""

import dataclasses
import filecmp
import glob
import logging
import os
import re
from collections.abc import Iterable

from bert_tf2.checkpoints import google, huggingface, listing, task_metadata
from bert_tf2.checkpoints.google import hugging_face_folder as hugging_face_folder
from bert_tf2.checkpoints.google import load as load
from bert_tf2.checkpoints.huggingface_config import TokenizerSettings
from bert_tf2.configs.model import BertConfig
from bert_tf2.errors import InputError, some
from bert_tf2.io import atomic, run_files
from bert_tf2.tokenization.auto import VOCAB_FILE as VOCAB_FILE
from bert_tf2.tokenization.auto import Tokenizer, VocabularyFile, check_vocab_size
from bert_tf2.tokenization.vocab_case import looks_cased, validate_case_matches_checkpoint, warn_of_case

logger = logging.getLogger(__name__)

CONFIG_FILE = run_files.BERT_CONFIG
_DEFAULT_CASE = True  # of the original's scripts
_ROUNDED_UP = 1024  # rows that tables have beyond their vocabulary at most, to be of a size that devices like
# Keys that may differ between a given config and the directory's, because they change training only.
_OF_TRAINING = ("attention_probs_dropout_prob", "hidden_dropout_prob", "initializer_range")


@dataclasses.dataclass(frozen=True)
class Pretrained:
    """Config, vocabulary and case of a model, and its weights.

    Attributes:
      bert_config: the encoder's sizes.
      vocabulary: its vocabulary.
      do_lower_case: whether case and accents are stripped, unless a task's description says otherwise.
      checkpoint: what `load` takes; None if the model has random weights.
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
                "%s has %s pieces, the model's vocab_size is %s: is it the vocabulary of this model?",
                *(path, f"{pieces:,}", f"{vocab_size:,}"),
            )
        if not self.vocabulary.is_sentencepiece:
            warn_of_case(tokenizer.vocab, do_lower_case, path)
        return tokenizer

    def check_sequences(self, max_seq_length: int, segments: int) -> None:
        """Checks that the model has positions and segment types enough.

        Raises:
          InputError: it has not; with the numbers.
        """
        positions, types = self.bert_config.max_position_embeddings, self.bert_config.type_vocab_size
        if max_seq_length > positions:
            raise InputError(
                f"--max_seq_length={max_seq_length}, but the model has only {positions} positions "
                f"(max_position_embeddings); give --max_seq_length={positions} or less."
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
    guesses_case: bool = False,
) -> Pretrained:
    """A model by what the flags of a script say.

    Args:
      init_checkpoint: as in `load`, or None.
      output_dir: the directory of a training, whose files go before those beside `init_checkpoint`; or None.
      bert_config_file, vocab_file, spm_model_file, do_lower_case: the flags; None if omitted.
      guesses_case: whether the vocabulary decides if nothing else says the case; else lower case is the default.

    Raises:
      InputError: something is missing, cannot be read, or is not what the model was trained with.
    """
    vocabulary = find_vocabulary(init_checkpoint, vocab_file, spm_model_file, output_dir)
    bert_config = find_bert_config(init_checkpoint, bert_config_file, output_dir)
    pieces = vocabulary.tokenizer(do_lower_case=False).vocab if guesses_case else None
    lower = find_do_lower_case(init_checkpoint, do_lower_case, output_dir, pieces)
    return Pretrained(bert_config, vocabulary, lower, init_checkpoint)


# --- Config ----------------------------------------------------------------------------------------------------------


def folder_of(init_checkpoint: str) -> str:
    """The directory that a checkpoint's config and vocabulary are expected in."""
    path = hugging_face_folder(init_checkpoint)
    return path or (init_checkpoint if os.path.isdir(init_checkpoint) else os.path.dirname(init_checkpoint))


def find_bert_config(
    init_checkpoint: str | None, bert_config_file: str | None = None, output_dir: str | None = None
) -> BertConfig:
    """The model's config: the given file, else that of an earlier training, else the one beside the checkpoint.

    It is compared with the checkpoint that a training resumes from or starts from.

    Args:
      init_checkpoint: as in `load`, or None.
      bert_config_file: Google's `bert_config.json` or Hugging Face's `config.json`, or None.
      output_dir: the directory of a training, or None.

    Raises:
      InputError: there is none, it cannot be read, or it is not the checkpoint's.
    """
    beside = _config_beside(init_checkpoint, output_dir)
    if bert_config_file is None and beside is None:
        if init_checkpoint:
            _check_exists(init_checkpoint)
        advice = "give --bert_config_file, the JSON file with the sizes of the model."
        raise _missing(init_checkpoint, output_dir, CONFIG_FILE, advice)
    config = BertConfig.from_json_file(str(bert_config_file or beside))
    if bert_config_file is not None and beside is not None and not os.path.samefile(beside, bert_config_file):
        _warn_of_differences(config, bert_config_file, BertConfig.from_json_file(beside), beside)
    if output_dir is not None and listing.is_listed(output_dir):
        check_config(config, output_dir)
    elif init_checkpoint:
        check_config(config, init_checkpoint, is_needed=True)
    return config


def check_config(config: BertConfig, checkpoint: str, is_needed: bool = False) -> None:
    """Checks a config against the shapes in a checkpoint, before a model is made that could be of any size.

    Args:
      config: of the model to be made.
      checkpoint: as `init_checkpoint` in `load`.
      is_needed: whether there has to be such a checkpoint; else loading it says what is wrong with it, if it matters.

    Raises:
      InputError: they do not belong together.
    """
    if hugging_face_folder(checkpoint):
        return
    if is_needed:
        _check_exists(checkpoint)
    try:
        prefix = listing.find(checkpoint)
        shapes: dict[str, list[int]] = google.open_reader(prefix).get_variable_to_shape_map()
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
    layers = {int(match[1]) for name in shapes if (match := re.match(r"bert/encoder/layer_(\d{1,9})/", name))}
    if layers and len(layers) != config.num_hidden_layers:
        raise InputError(
            f"The encoder in {prefix} is not the one of the BERT config: it has {len(layers)} layers, the config "
            f"{config.num_hidden_layers} (num_hidden_layers); use the bert_config.json that belongs to the checkpoint."
        )


def _config_beside(init_checkpoint: str | None, output_dir: str | None) -> str | None:
    """The config of an earlier training, else the one beside a checkpoint; None if there is none."""
    paths = [os.path.join(output_dir, CONFIG_FILE)] if output_dir is not None else []
    if init_checkpoint:
        name = huggingface.CONFIG_FILE if hugging_face_folder(init_checkpoint) else CONFIG_FILE
        paths.append(os.path.join(folder_of(init_checkpoint), name))
    return next(filter(os.path.isfile, paths), None)


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
) -> VocabularyFile:
    """The vocabulary: the given file, else that of an earlier training, else the one beside the checkpoint.

    Args:
      init_checkpoint: as in `load`, or None.
      vocab_file: a `vocab.txt`, or None.
      spm_model_file: a SentencePiece model, or None.
      output_dir: the directory of a training, or None.

    Raises:
      InputError: there is none, or the given one is not what the earlier training had.
    """
    given = VocabularyFile.given(vocab_file, spm_model_file)
    if given:
        if output_dir is not None:
            _check_kept(output_dir, given)
        return given
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
    return next(filter(os.path.isfile, paths), None)


def _no_vocabulary(init_checkpoint: str | None, output_dir: str | None) -> InputError:
    if init_checkpoint:
        directory = folder_of(init_checkpoint)
        if vocabulary_to_convert(directory):
            return InputError(
                f"{directory} has no {VOCAB_FILE}; its vocabulary is in {huggingface.TOKENIZER_FILE}. Convert it once, "
                f"with convert_checkpoint.py --init_checkpoint={directory} --output_dir=NEW, and give "
                "--init_checkpoint=NEW."
            )
        _check_exists(init_checkpoint)
    advice = "give --vocab_file, the vocabulary of the model."
    return _missing(init_checkpoint, output_dir, VOCAB_FILE, advice)


def _check_kept(output_dir: str, given: VocabularyFile) -> None:
    """Refuses another vocabulary than that of the model that has been trained in a directory."""
    kept, flag = os.path.join(output_dir, given.name), "spm_model_file" if given.is_sentencepiece else "vocab_file"
    is_trained = os.path.isfile(os.path.join(output_dir, CONFIG_FILE)) and os.path.isfile(kept)
    if is_trained and os.path.isfile(given.path) and not filecmp.cmp(given.path, kept, shallow=False):
        raise InputError(
            f"--{flag}={given.path} is not the vocabulary that the model in {output_dir} was trained with ({kept}); "
            "omit the flag, or give another --output_dir."
        )


def _missing(init_checkpoint: str | None, output_dir: str | None, name: str, advice: str) -> InputError:
    """An error that says where a file was sought, as far as there is a model at all."""
    places = [output_dir] if output_dir is not None and listing.is_listed(output_dir) else []
    if init_checkpoint:
        places.append(folder_of(init_checkpoint) or ".")
    if not places:
        return InputError(advice[0].upper() + advice[1:])
    if len({os.path.realpath(place) for place in places}) == 1:
        return InputError(f"{places[0]} has no {name}; {advice}")
    return InputError(f"Neither {places[0]} nor {places[1]} has a {name}; {advice}")


def _check_exists(init_checkpoint: str) -> None:
    """Refuses what is nothing on this machine, a model's name on a hub for example."""
    if glob.glob(f"{glob.escape(init_checkpoint)}*"):
        return
    folder = os.path.dirname(init_checkpoint)
    if folder and os.path.isdir(folder):
        prefixes = sorted(path.removesuffix(".index") for path in glob.glob(f"{glob.escape(folder)}/*.index"))
        raise InputError(
            f"There is no {init_checkpoint}: {folder} has no directory and no checkpoint of that name"
            f"{f', but {some(prefixes)}' if prefixes else ''}."
        )
    raise InputError(
        f"There is no {init_checkpoint}: the directory of a model on this machine, or a checkpoint in it "
        "(DIRECTORY/bert_model.ckpt), was expected; models are not downloaded."
    )


# --- Case ------------------------------------------------------------------------------------------------------------


def find_do_lower_case(
    init_checkpoint: str | None,
    given: bool | None = None,
    output_dir: str | None = None,
    pieces: Iterable[str] | None = None,
) -> bool:
    """Whether the tokenizer lower-cases: what was given, else what a directory of the model says, else the default.

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
    settings = _tokenizer_settings(init_checkpoint)
    if given is not None:
        return given
    found, directory = None, output_dir
    if output_dir is not None:
        found = task_metadata.setting(output_dir, "do_lower_case", bool)
    if found is None and init_checkpoint:
        directory, found = folder_of(init_checkpoint), settings.do_lower_case
        if found is None:
            found = task_metadata.setting(directory, "do_lower_case", bool)
    if found is not None:
        if not found:
            logger.info("The text keeps its case (--do_lower_case=false), as %s says.", directory or ".")
        return bool(found)
    return _DEFAULT_CASE if pieces is None else not looks_cased(pieces)


def _tokenizer_settings(init_checkpoint: str | None) -> TokenizerSettings:
    """Those of a Hugging Face directory; of anything else, none."""
    directory = hugging_face_folder(init_checkpoint) if init_checkpoint else None
    if directory is None:
        return TokenizerSettings()
    settings = TokenizerSettings.read(directory)
    if settings.differences:
        logger.warning(
            "The tokenizer of %s is not quite the one here (%s there): some text will be split differently.",
            directory,
            ", ".join(settings.differences),
        )
    return settings

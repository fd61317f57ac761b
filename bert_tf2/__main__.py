"""The command `bert-tf2`, and `python -m bert_tf2`."""

import difflib
import importlib
import sys

from bert_tf2 import __version__
from bert_tf2.configs import help_text
from bert_tf2.io import standard_output

COMMANDS = {
    "build-vocab": ("build_vocab", "Make a vocabulary from text"),
    "create-pretraining-data": ("create_pretraining_data", "Turn text into records for pre-training"),
    "pretrain": ("run_pretraining", "Pre-train BERT; evaluate it; fill masks"),
    "classify": ("run_classifier", "Fine-tune to classify or score texts and pairs of texts; predict"),
    "squad": ("run_squad", "Fine-tune to answer questions about a text; predict"),
    "ner": ("run_ner", "Fine-tune to tag words; predict"),
    "choose": ("run_multiple_choice", "Fine-tune on multiple-choice questions; predict"),
    "features": ("extract_features", "Extract vectors of tokens or lines"),
    "inspect": ("inspect_model", "Inspect a model and what it does with a text"),
    "convert": ("convert_checkpoint", "Convert between Google's checkpoints and Hugging Face directories"),
    "export": ("export_model", "Export a SavedModel that takes text, an encoder, or ONNX"),
}
"""Command name -> its module in `bert_tf2.commands`, and what it does."""


def main() -> None:
    """Runs the command named by the first argument."""
    name = sys.argv[1] if len(sys.argv) > 1 else None
    if name in ("--help", "-help", "-h", "-?", "--helpshort", "--helpfull", "help"):
        standard_output.show(_help())
    elif name in ("--version", "-version"):
        standard_output.show(f"bert-tf2 {__version__}")
    elif name is None:
        sys.exit(_help())
    elif name not in COMMANDS:
        sys.exit(f"ERROR: {_unknown(name)}")
    else:
        command = importlib.import_module(f"bert_tf2.commands.{COMMANDS[name][0]}")
        command.main([f"bert-tf2 {name}", *sys.argv[2:]])


def _help() -> str:
    width = help_text.width()
    rows = "\n".join(
        help_text.row(f"  {name}", f"{about} ({script}.py)", width, names=27)
        for name, (script, about) in COMMANDS.items()
    )
    about = "BERT for TensorFlow 2 and Keras 3: Google's research pipeline, its commands, files and checkpoints."
    return f"""\
{help_text.wrap(about, width)}

    bert-tf2 classify --do_train --train_file=reviews.csv \\
      --init_checkpoint=bert-base-uncased --output_dir=model

usage: bert-tf2 COMMAND --flag=value ...
       bert-tf2 COMMAND --help
       bert-tf2 --version

commands:

{rows}

{help_text.wrap("In parentheses: the equivalent script in a clone of the repository.", width)}"""


def _unknown(name: str) -> str:
    """The error message for a first argument that is not a command."""
    if name.startswith("-"):
        return f"the command comes before its flags, as in `bert-tf2 classify {name}`; --help lists the commands."
    scripts = {script: command for command, (script, _) in COMMANDS.items()}
    candidates = {**dict(zip(COMMANDS, COMMANDS, strict=True)), **scripts}
    close = difflib.get_close_matches(name.removesuffix(".py"), candidates, 1)
    hint = f"did you mean {candidates[close[0]]}?" if close else f"choose one of {', '.join(COMMANDS)}."
    return f"there is no command {name!r}; {hint}"


if __name__ == "__main__":
    main()

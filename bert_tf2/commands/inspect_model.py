"""Inspects a BERT model: what it is, and what it does with a text.

    python inspect_model.py --init_checkpoint=bert-base-uncased

    python inspect_model.py --init_checkpoint=bert-base-uncased \\
      --text='The capital of France is [MASK].' --output_dir=inspected

    python inspect_model.py --init_checkpoint=bert-base-uncased \\
      --nearest=paris

    python inspect_model.py --init_checkpoint=bert-base-uncased --score \\
      --text_file=sentences.txt --output_dir=scored

Without a text: architecture, vocabulary, head, parameters. With a text: its pieces, predictions for each [MASK], labels
of a fine-tuned model; with --output_dir the attention of every layer and head, as a page and as arrays.
See docs/inspecting.md for examples.
"""

from bert_tf2 import cli
from bert_tf2.inspection.config import InspectionConfig


def run(config: InspectionConfig) -> None:
    """Does the work; its code is imported here to keep `--help` fast."""
    cli.import_tensorflow()
    from bert_tf2.inspection import runner

    runner.run(config)


main = cli.command(InspectionConfig, run)

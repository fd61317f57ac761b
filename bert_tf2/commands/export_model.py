"""Exports a model for others to run: a SavedModel that takes raw text, an encoder to fine-tune, or ONNX.

    python export_model.py --output_dir=model --export_dir=serving/sentiment

    python export_model.py --init_checkpoint=uncased_L-12_H-768_A-12 --format=encoder --export_dir=encoder

    python export_model.py --output_dir=model --format=onnx --quantize=int8 --dev_file=dev.csv --export_dir=onnx

What the model is for is read from its folder. docs/serving.md has requests to paste.
"""

from bert_tf2 import cli
from bert_tf2.export.config import ExportConfig


def run(config: ExportConfig) -> None:
    """Calls what does the work; it is imported here, so that `--help` need not wait for it."""
    cli.import_tensorflow()
    from bert_tf2.export import runner

    runner.run(config)


main = cli.command(ExportConfig, run)

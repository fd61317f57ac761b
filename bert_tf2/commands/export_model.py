"""Exports a model for deployment: a SavedModel that takes raw text, an encoder to fine-tune, or ONNX.

    python export_model.py --output_dir=model --export_dir=serving/sentiment

    python export_model.py --init_checkpoint=uncased_L-12_H-768_A-12 \\
      --format=encoder --export_dir=encoder

    python export_model.py --output_dir=model --format=onnx --quantize=int8 \\
      --dev_file=dev.csv --export_dir=onnx

The model's task is read from its directory. docs/serving.md has example requests.
"""

from bert_tf2 import cli
from bert_tf2.export.config import ExportConfig


def run(config: ExportConfig) -> None:
    """Does the work; its code is imported here to keep `--help` fast."""
    cli.import_tensorflow()
    from bert_tf2.export import runner

    runner.run(config)


main = cli.command(ExportConfig, run)

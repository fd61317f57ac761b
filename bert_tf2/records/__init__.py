"""TFRecord files between data and training: their features and bytes."""

from bert_tf2.records.schema import NEXT_SENTENCE, Kind, RecordWriter, Schema, classification, pretraining, squad

__all__ = ["NEXT_SENTENCE", "Kind", "RecordWriter", "Schema", "classification", "pretraining", "squad"]

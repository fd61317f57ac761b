"""What lies between data and training: TFRecord files, their features, their bytes."""

from bert_tf2.records.schema import NEXT_SENTENCE, Kind, RecordWriter, Schema, classification, pretraining, squad

__all__ = ["NEXT_SENTENCE", "Kind", "RecordWriter", "Schema", "classification", "pretraining", "squad"]

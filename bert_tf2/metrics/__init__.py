"""Scores of predictions; no TensorFlow."""

from bert_tf2.metrics.classification import confusion_matrix, evaluate, per_label, predictions, probabilities
from bert_tf2.metrics.spans import span_scores, spans

__all__ = ["confusion_matrix", "evaluate", "per_label", "predictions", "probabilities", "span_scores", "spans"]

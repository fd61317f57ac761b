"""Inspecting a model, and what it does with a text: pieces, predictions, attention, neighbors, pseudo-perplexity."""

from typing import TYPE_CHECKING

from bert_tf2 import lazy_exports

if TYPE_CHECKING:
    from bert_tf2.inspection.config import InspectionConfig
    from bert_tf2.inspection.description import ModelDescription
    from bert_tf2.inspection.inspector import Inspector
    from bert_tf2.inspection.nearest import Neighbors
    from bert_tf2.inspection.pieces import Piece, TextPieces
    from bert_tf2.inspection.results import Attention, Inspection
    from bert_tf2.inspection.runner import run
    from bert_tf2.inspection.scoring import Score

__all__ = [
    "Attention",
    "Inspection",
    "InspectionConfig",
    "Inspector",
    "ModelDescription",
    "Neighbors",
    "Piece",
    "Score",
    "TextPieces",
    "run",
]

_HOMES = {
    "Attention": "bert_tf2.inspection.results",
    "Inspection": "bert_tf2.inspection.results",
    "InspectionConfig": "bert_tf2.inspection.config",
    "Inspector": "bert_tf2.inspection.inspector",
    "ModelDescription": "bert_tf2.inspection.description",
    "Neighbors": "bert_tf2.inspection.nearest",
    "Piece": "bert_tf2.inspection.pieces",
    "Score": "bert_tf2.inspection.scoring",
    "TextPieces": "bert_tf2.inspection.pieces",
    "run": "bert_tf2.inspection.runner",
}
__getattr__, __dir__ = lazy_exports.attach(__name__, _HOMES)

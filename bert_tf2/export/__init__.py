"""Exports models for serving: SavedModels that take raw text, and ONNX."""

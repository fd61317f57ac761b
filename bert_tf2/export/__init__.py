"""Models for others to run: SavedModels that take raw text, and ONNX."""

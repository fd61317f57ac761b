"""Reports: pages that show what a model does, self-contained HTML; no TensorFlow."""

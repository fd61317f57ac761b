"""Configuration of models, training runs and scripts: plain dataclasses, no TensorFlow."""

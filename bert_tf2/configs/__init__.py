"""What can be set: plain dataclasses, from whose fields flags are made; no TensorFlow."""

"""What models, trainings and scripts can be told; plain dataclasses, no TensorFlow."""

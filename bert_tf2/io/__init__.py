"""Files: found, read, written whole, resumed, locked; progress and signals of long work. No TensorFlow."""

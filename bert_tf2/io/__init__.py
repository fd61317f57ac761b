"""Files: finding, reading, atomic writing, resuming, locks; progress and signals of long work. No TensorFlow."""

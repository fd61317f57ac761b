"""Creates pre-training records from text: instances, masks and files, on one machine or many. No TensorFlow."""

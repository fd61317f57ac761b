"""Text to records for pre-training: instances, their masks, their files, on one machine or many. No TensorFlow."""

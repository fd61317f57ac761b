"""Pre-training: masked language model and next sentence, and what a trained model fills in."""

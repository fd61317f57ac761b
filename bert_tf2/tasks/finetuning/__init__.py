"""What all fine-tuning tasks do alike."""

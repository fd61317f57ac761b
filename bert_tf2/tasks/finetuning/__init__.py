"""The shared code of all fine-tuning tasks."""

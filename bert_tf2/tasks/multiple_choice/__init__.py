"""Multiple choice: which of several endings, answers or continuations belongs to a context."""

"""The tasks: text -> features -> model -> scores, one module each."""

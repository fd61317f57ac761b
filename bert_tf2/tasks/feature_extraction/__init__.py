"""Vectors of tokens and of whole texts."""

"""Whose arithmetic made given numbers."""

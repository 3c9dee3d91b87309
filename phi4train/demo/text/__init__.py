"""Passages, dialogues and exercises in text alone."""

"""Panels of digits, text lines, photographs, and what is asked about them."""

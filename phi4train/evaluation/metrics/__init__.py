"""How answers and targets are scored."""

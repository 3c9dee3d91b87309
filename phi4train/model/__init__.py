"""The model: torch and peft only."""

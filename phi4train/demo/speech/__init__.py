"""Speech in eight languages, sounds, and their written twins."""

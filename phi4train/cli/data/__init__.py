"""`phi4train data`: one file a verb below it; mixtures.py finds the mixtures that most of them take."""

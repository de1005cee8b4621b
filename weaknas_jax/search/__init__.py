"""The weak-predictor loop, its parts, and baselines."""

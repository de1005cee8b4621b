"""The weak-predictor loop, its parts, and the methods it is compared with."""

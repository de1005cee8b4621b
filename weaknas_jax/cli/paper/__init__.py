"""Commands that reproduce the paper's tables and figures, and compare protocols."""

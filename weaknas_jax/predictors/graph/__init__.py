"""Predictors that read architectures as graphs, one file each; `registry` lists them by name."""

"""Methods to compare with, one file each, behind the same ``init / ask / tell``."""

"""Baselines, one file each, with the same ``init / ask / tell`` as WeakNAS."""

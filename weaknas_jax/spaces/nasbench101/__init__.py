"""NAS-Bench-101 (Ying et al., ICML 2019): cells, their encodings and their neighbours."""

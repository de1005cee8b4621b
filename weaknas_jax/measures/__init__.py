"""Measures of finished runs: metrics, statistics, Pareto fronts, quality of predictors."""

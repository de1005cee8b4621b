"""Types, a run's history, protocols, memory plans and JAX settings, which every package uses."""

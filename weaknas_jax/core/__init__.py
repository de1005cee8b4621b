"""Types, a run's history, the protocol, memory plans and conventions: what everything else uses."""

"""Weight-sharing networks: search among their sub-networks, training, images."""

"""Architecture spaces: strings, encodings, neighbours; one file for each space."""

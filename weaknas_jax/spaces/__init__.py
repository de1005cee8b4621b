"""Architecture spaces: strings, encodings, neighbours; one file a space."""

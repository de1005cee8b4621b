"""Results of experiments: text, pictures, folders."""

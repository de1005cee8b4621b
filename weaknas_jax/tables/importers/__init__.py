"""Other people's files -> `Table`: one file a format."""

"""The method inside other people's tools. Each module needs the extra of its name."""

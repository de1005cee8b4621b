"""What experiments leave: text, pictures, folders."""

"""Reading recordings: one module for each file format."""

"""Data sets: where records come from, how they are transformed, and how to get some."""

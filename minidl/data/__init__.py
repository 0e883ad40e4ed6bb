"""Data sets: where records come from, what becomes of them, and how to get some."""

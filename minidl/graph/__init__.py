"""From messages to an ordered graph: pure functions, no arrays."""

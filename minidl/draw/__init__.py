"""Pictures: nets as boxes and arrows, filters and activations as tiles."""

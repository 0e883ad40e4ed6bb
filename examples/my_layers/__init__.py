"""Layer types of one's own, in a package of one's own: docs/your-layers.md tells the story.

minidl train examples/my_layers/solver.prototxt --import examples/my_layers
"""

from . import snake  # noqa: F401  (registers the layer types)

"""Tools for people who write layers: run one alone, check its gradients."""

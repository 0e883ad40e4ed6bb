"""The parts of a run, one module each: `cases(settings)`. See benchmarks/gpu."""

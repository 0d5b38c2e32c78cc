"""Parts of the benchmark of optimizer steps; `benches/steps.py` is the command."""

"""Measures stock Jupyter Server and this extension side by side: `python -m tests.benchmarks`."""

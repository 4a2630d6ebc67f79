"""Faults at random against one real server, and the truth beside: `python -m tests.chaos`."""

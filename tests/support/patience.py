"""How long tests wait."""

PATIENCE = 60.0
"""Seconds after which a test gives up what has to come.

It says nothing of how soon that is: a busy machine is slow. Who tests that something is told at
once takes away what would tell it later.
"""

"""Trace → what a cache would have cost."""

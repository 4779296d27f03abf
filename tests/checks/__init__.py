"""Checks of what stands beside the code: the documentation and the scripts."""

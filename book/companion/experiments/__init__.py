"""Experiments: data, settings, records, runs, and what they cost."""

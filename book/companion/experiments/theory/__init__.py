"""Experiments behind the chapters on theory."""

"""Computed fragments of the book's pages."""

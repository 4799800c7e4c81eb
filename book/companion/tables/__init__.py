"""Tables of the book."""

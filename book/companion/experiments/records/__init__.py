"""Records, their store, their summary and statistics."""

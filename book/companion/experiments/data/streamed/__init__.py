"""Images that are read from disk while training."""

"""What notebooks take and run."""

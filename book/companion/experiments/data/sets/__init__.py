"""One loader for each data set."""

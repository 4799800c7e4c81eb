"""The paper's numbers, and what is said of them."""

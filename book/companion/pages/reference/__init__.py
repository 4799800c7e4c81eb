"""The reference: API, command line, changelog, and links from the prose to them."""

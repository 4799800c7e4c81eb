"""From a setting and a seed to records."""

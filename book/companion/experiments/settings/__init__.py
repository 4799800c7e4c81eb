"""Settings, forget sets, presets and changes of them."""

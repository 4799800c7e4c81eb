"""What a run takes: passes, memory, time."""

"""What a kernel is and becomes: pure values and decisions, no I/O, no clock."""

"""Real drivers and tools against the real pair of programs, through every entrance."""

"""The language of recorded programs: layouts, values, instructions, and the hook through which operations record."""

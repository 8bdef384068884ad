"""The program with one bug put in, to see whether the simulator finds it."""

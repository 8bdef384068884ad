"""What clients do, in simulation, chaos runs and exercises, over whatever carries their requests."""

"""The chaos harness: the workloads and checkers of the simulator, on real processes, sockets and disks."""

"""The production node in a simulated world: virtual time, network, disks and chance from one seed."""

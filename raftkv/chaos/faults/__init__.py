"""What can be done to a running system, one kind of fault each; ``catalogue`` lists them."""

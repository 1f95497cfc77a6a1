"""Objects of Kubernetes: for whom one is made, whose it is, and whether it says what is wanted."""

"""What is done for whoever asks, by noun: the same for the command line and for the REST API."""

"""What things look like to whoever asks from outside: the JSON of the command line and of the REST API, by noun."""

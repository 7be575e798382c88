"""The REST API: a process of its own beside the workers, which serves the console too."""

"""The command line: one module per noun. What is slow to import, the command imports that needs it."""

"""Where reports go besides the embedded device view. One file for each sink, one line for each in `registry`."""

"""What the gateway keeps on disk: SQLite files under the data directory, each with one writing process."""

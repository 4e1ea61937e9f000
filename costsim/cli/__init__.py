"""The command line: one file a command, no arithmetic, and nothing heavy imported before a command runs."""

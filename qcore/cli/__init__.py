"""The commands: one file per subcommand, and what they share."""

"""The command line: its commands, one file each, and their options, streams and targets."""

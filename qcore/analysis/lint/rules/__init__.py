"""Rules of targets as data: a module for each."""

"""What each operator computes: one file for each family, and the table of them all in ``registry``."""

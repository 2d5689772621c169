"""Few labels and many patterns."""

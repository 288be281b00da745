"""What came of it, to be read: a page, tables as CSV and JSON."""

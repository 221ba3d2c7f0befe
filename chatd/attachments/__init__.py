"""Files that people attach: known by their content, cleaned, measured and scanned before anybody sees them."""

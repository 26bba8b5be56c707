"""The ways out: each takes bytes and gives receipts, and never raises for a message."""

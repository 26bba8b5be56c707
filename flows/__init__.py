"""The operator's room: what runs when, and what Prefect shows of it. No rule about leads lives here."""

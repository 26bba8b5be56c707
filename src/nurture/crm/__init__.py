"""The CRM beside us: what it is told of leads, what we hear from it, and which side each field belongs to."""

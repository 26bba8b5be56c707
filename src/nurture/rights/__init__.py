"""What a person may ask of us, and what the house keeps no longer than it must: dossier, forget, retention, export."""

"""What comes back: bounces, complaints, automatic and real replies by mail, and reports of sending services."""

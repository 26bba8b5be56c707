"""What comes back by mail: bounces, complaints, automatic and real replies."""

"""Read-only answers: who stands where, why this lead, what was agreed, how a sequence looks."""

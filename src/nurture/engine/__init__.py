"""The engine: the only writer of enrolments and touches. `machine.Machine` is its door."""

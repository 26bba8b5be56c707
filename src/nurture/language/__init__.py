"""What a marketer writes: YAML read with its positions, conditions, and their one compiler to SQL."""

"""A message: from the marketer's template and a lead to the bytes that leave the house."""

"""The doors as a person meets them: in Chromium, on a phone and a desktop, in both directions."""

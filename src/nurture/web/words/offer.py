"""The page of an offered piece."""

ENGLISH = {
    "open_piece": "Open it",
    "leads_to": "This opens {host}.",
}
ARABIC = {
    "open_piece": "افتحوا المادة",
    "leads_to": "يفتح هذا الرابط {host}.",
}

"""The page of a one-question letter."""

ENGLISH = {
    "q_chosen": "Your answer",
    "q_confirm": "Yes, that is my answer",
    "q_else": "Or is it this?",
    "q_thanks": "Thank you, that helps",
    "q_thanks_text": "From now on we send you what fits that answer.",
    "q_changed": "You can change it at any time:",
}
ARABIC = {
    "q_chosen": "جوابكم",
    "q_confirm": "نعم، هذا جوابي",
    "q_else": "أم هو أحد هذه؟",
    "q_thanks": "شكرًا لكم، هذا يفيدنا",
    "q_thanks_text": "من الآن فصاعدًا نرسل إليكم ما يناسب هذا الجواب.",
    "q_changed": "يمكنكم تغييره في أي وقت:",
}

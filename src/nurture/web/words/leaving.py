"""Unsubscribing."""

ENGLISH = {
    "stop_title": "Unsubscribe?",
    "stop_text": "We will not write to {address} any more. One click, no questions.",
    "stop_button": "Unsubscribe",
    "stopped_title": "You are unsubscribed",
    "stopped_before": "You are unsubscribed already",
    "stopped_text": "We will not write to {address} again. Thank you for the time you gave us.",
}
ARABIC = {
    "stop_title": "إلغاء الاشتراك؟",
    "stop_text": "لن نراسل {address} بعد الآن. بنقرة واحدة ومن دون أسئلة.",
    "stop_button": "إلغاء الاشتراك",
    "stopped_title": "تم إلغاء اشتراككم",
    "stopped_before": "أُلغي اشتراككم من قبل",
    "stopped_text": "لن نراسل {address} مرة أخرى. شكرًا على وقتكم.",
}

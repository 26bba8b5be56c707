"""The second yes of a double opt-in."""

ENGLISH = {
    "confirm_title": "Was this you?",
    "confirm_text": "With {address} somebody said yes to:",
    "confirm_button": "Yes, that was me",
    "confirm_not_you": "If it was not you, close this page. Nothing will happen.",
    "confirmed_title": "Thank you, that is confirmed",
    "confirmed_text": "You said yes to this with {address}. Every letter has a link to take it back.",
    "confirm_late_title": "This link has run out",
    "confirm_late_text": "Nothing was changed for {address}. To be asked again, fill in the form once more.",
    "confirm_refused_title": "You have said no since",
    "confirm_refused_text": "Nothing was changed for {address}: you said no to us after somebody had asked for this. "
    "If you do want it, fill in the form once more; then this link works again, or a new letter comes.",
}
ARABIC = {
    "confirm_title": "هل كنتم أنتم؟",
    "confirm_text": "وافق شخص ما باستخدام العنوان {address} على ما يلي:",
    "confirm_button": "نعم، هذا أنا",
    "confirm_not_you": "إن لم تكونوا أنتم فأغلقوا هذه الصفحة. لن يحدث شيء.",
    "confirmed_title": "شكرًا، تم التأكيد",
    "confirmed_text": "وافقتم على ذلك باستخدام العنوان {address}. في كل رسالة رابط للتراجع.",
    "confirm_late_title": "انتهت صلاحية هذا الرابط",
    "confirm_late_text": "لم يتغيّر شيء يخص العنوان {address}. لنسألكم من جديد املؤوا النموذج مرة أخرى من فضلكم.",
    "confirm_refused_title": "لقد رفضتم بعد ذلك",
    "confirm_refused_text": "لم يتغيّر شيء يخص العنوان {address}: رفضتم مراسلاتنا بعد أن طُلب هذا التأكيد. "
    "إن كنتم تريدون ذلك حقًا فاملؤوا النموذج مرة أخرى من فضلكم، ثم يعمل هذا الرابط من جديد أو تصلكم رسالة جديدة.",
}

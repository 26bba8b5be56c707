"""Forms and what they say once sent."""

ENGLISH = {
    "optional": "optional",
    "choose": "Please choose",
    "consent": "You may write to me by e-mail with more of this kind. I can stop it at any time.",
    "tracking": "You may see which links in these messages I open, so that you send me what suits me.",
    "mend": "Please look at this once more",
    "leave_empty": "Leave this empty",
    "email_missing": "Please enter your e-mail address.",
    "email_wrong": "This does not look like an e-mail address. Write it like name@company.com.",
    "number_wrong": "Please enter a number, like 250.",
    "date_wrong": "Please enter a date.",
    "country_wrong": "Please choose a country from the list.",
    "text_wrong": "Please write this in one line of at most 200 characters.",
    "thanks_title": "Your request has arrived",
    "thanks_text": "You can close this page.",
}
ARABIC = {
    "optional": "اختياري",
    "choose": "اختاروا من فضلكم",
    "consent": "يمكنكم مراسلتي بالبريد الإلكتروني بمواد مشابهة، ويمكنني إيقاف ذلك في أي وقت.",
    "tracking": "يمكنكم معرفة الروابط التي أفتحها في هذه الرسائل لترسلوا إليّ ما يناسبني.",
    "mend": "نرجو مراجعة ما يلي",
    "leave_empty": "اتركوا هذا الحقل فارغًا",
    "email_missing": "أدخلوا عنوان بريدكم الإلكتروني من فضلكم.",
    "email_wrong": "لا يبدو هذا عنوان بريد إلكتروني. اكتبوه هكذا: name@company.com",
    "number_wrong": "أدخلوا رقمًا من فضلكم، مثل 250.",
    "date_wrong": "أدخلوا تاريخًا من فضلكم.",
    "country_wrong": "اختاروا بلدًا من القائمة من فضلكم.",
    "text_wrong": "اكتبوا ذلك في سطر واحد لا يزيد على 200 حرف.",
    "thanks_title": "وصلنا طلبكم",
    "thanks_text": "يمكنكم إغلاق هذه الصفحة.",
}

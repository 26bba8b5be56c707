"""What every page may say."""

ENGLISH = {
    "home": "The links in messages from {brand} lead here.",
    "home_more": "Nothing else is kept here. If you came by a link that did not work, please write to us.",
    "not_found": "There is nothing here",
    "not_found_more": "The address may have been cut on its way. Please use the message's link again.",
    "wrong_method": "That cannot be done here",
    "wrong_method_more": "Please go back, and use the buttons of the page.",
    "not_ready": "Not open yet",
    "not_ready_more": "Nothing has been published here so far. Please come back later.",
    "down": "Just now we cannot do this",
    "down_more": "Nothing was changed. Please try again in a minute.",
    "fault": "Something went wrong on our side",
    "fault_more": "We have written it down. Please try again in a minute.",
    "too_large": "That was too much at once",
    "too_large_more": "Please send less, and try again.",
    "wrong_type": "This cannot be read",
    "wrong_type_more": "Please send the form of the page.",
    "too_often": "One moment, please",
    "too_often_more": "Too many forms came in a short time. Go back: your answers are still there. "
    "Please send them again in {seconds} seconds.",
}
ARABIC = {
    "home": "إلى هنا تقود الروابط في رسائل {brand}.",
    "home_more": "لا شيء آخر في هذا الموقع. إن وصلتم عبر رابط لا يعمل فراسلونا من فضلكم.",
    "not_found": "لا شيء هنا",
    "not_found_more": "ربما انقطع العنوان في طريقه إليكم. استعملوا رابط الرسالة مرة أخرى من فضلكم.",
    "wrong_method": "لا يمكن ذلك هنا",
    "wrong_method_more": "عودوا من فضلكم واستعملوا أزرار الصفحة.",
    "not_ready": "لم نفتح بعد",
    "not_ready_more": "لم يُنشر شيء هنا حتى الآن. نرجو أن تعودوا لاحقًا.",
    "down": "لا نستطيع ذلك في هذه اللحظة",
    "down_more": "لم يتغيّر شيء. حاولوا مرة أخرى بعد دقيقة من فضلكم.",
    "fault": "حدث خطأ من جهتنا",
    "fault_more": "سجّلنا ما حدث. حاولوا مرة أخرى بعد دقيقة من فضلكم.",
    "too_large": "هذا أكثر مما نستطيع استلامه",
    "too_large_more": "أرسلوا أقل من ذلك وحاولوا مرة أخرى من فضلكم.",
    "wrong_type": "لا يمكن قراءة هذا",
    "wrong_type_more": "استعملوا النموذج الموجود في الصفحة من فضلكم.",
    "too_often": "لحظة من فضلكم",
    "too_often_more": "وصلت عدة نماذج في وقت قصير. عودوا إلى الصفحة السابقة، فإجاباتكم ما زالت فيها، "
    "وأرسلوها مرة أخرى بعد {seconds} ثانية.",
}

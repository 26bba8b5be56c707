"""What the house itself says on its pages, by language; the program's own words come from its files."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

FALLBACK = "en"

_ENGLISH = {
    # everywhere
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
    "too_often_more": "Too many forms came in a short time. Please try again in {seconds} seconds.",
    # unsubscribe
    "stop_title": "Unsubscribe?",
    "stop_text": "We will not write to {address} any more. One click, no questions.",
    "stop_button": "Unsubscribe",
    "stopped_title": "You are unsubscribed",
    "stopped_before": "You are unsubscribed already",
    "stopped_text": "We will not write to {address} again. Thank you for the time you gave us.",
    # offer
    "open_piece": "Open it",
    "leads_to": "This opens {host}.",
    # form
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
    # hand-off
    "h_open": "Waiting for {owner}",
    "h_deadline": "Answer by",
    "h_opened": "Handed over",
    "h_why": "Why now",
    "h_next": "Suggested next step",
    "h_who": "Who",
    "h_score": "Why this score",
    "h_of": "of 100",
    "h_fit": "fit",
    "h_fit_unknown": "not known yet",
    "h_no_score": "Nothing has scored yet.",
    "h_timeline": "What happened",
    "h_no_timeline": "Nothing yet: this lead came straight to us.",
    "h_sent": "What we sent",
    "h_no_sent": "Nothing so far.",
    "h_accept": "I take this lead",
    "h_not_mine": "Not for you? Say why, and the lead goes where it belongs:",
    "h_confirm_accepted": "Take this lead?",
    "h_confirm_rejected": "Give this lead back?",
    "h_confirm_because": "Reason: {reason}",
    "h_yes_accepted": "Yes, I take it",
    "h_yes_rejected": "Yes, give it back",
    "h_everything": "See everything first",
    "h_done_accepted": "It is yours",
    "h_done_rejected": "Thank you, it goes back",
    "h_was_accepted": "This lead was taken",
    "h_was_rejected": "This lead was given back",
    "h_was_expired": "This hand-off has expired",
    "h_unchanged": "It had been answered before; nothing was changed.",
    "inaccurate_data": "The data is wrong",
    "not_persona": "Not our kind of customer",
    "premature": "Too early",
    "duplicate": "We have this one already",
}
_ARABIC = {
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
    "too_often_more": "وصلت عدة نماذج في وقت قصير. حاولوا مرة أخرى بعد {seconds} ثانية.",
    "stop_title": "إلغاء الاشتراك؟",
    "stop_text": "لن نراسل {address} بعد الآن. بنقرة واحدة ومن دون أسئلة.",
    "stop_button": "إلغاء الاشتراك",
    "stopped_title": "تم إلغاء اشتراككم",
    "stopped_before": "أُلغي اشتراككم من قبل",
    "stopped_text": "لن نراسل {address} مرة أخرى. شكرًا على وقتكم.",
    "open_piece": "افتحوا المادة",
    "leads_to": "يفتح هذا الرابط {host}.",
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
    "h_open": "بانتظار {owner}",
    "h_deadline": "الرد قبل",
    "h_opened": "سُلّم في",
    "h_why": "لماذا الآن",
    "h_next": "الخطوة المقترحة",
    "h_who": "من هو",
    "h_score": "سبب هذه الدرجة",
    "h_of": "من 100",
    "h_fit": "الملاءمة",
    "h_fit_unknown": "غير معروفة بعد",
    "h_no_score": "لا نقاط حتى الآن.",
    "h_timeline": "ما الذي حدث",
    "h_no_timeline": "لا شيء بعد: جاء إلينا مباشرة.",
    "h_sent": "ما الذي أرسلناه",
    "h_no_sent": "لا شيء حتى الآن.",
    "h_accept": "أتولّى هذا العميل",
    "h_not_mine": "ليس لكم؟ اذكروا السبب ليذهب إلى المكان المناسب:",
    "h_confirm_accepted": "تتولّون هذا العميل؟",
    "h_confirm_rejected": "تعيدون هذا العميل؟",
    "h_confirm_because": "السبب: {reason}",
    "h_yes_accepted": "نعم، أتولّاه",
    "h_yes_rejected": "نعم، أعيدوه",
    "h_everything": "عرض كل التفاصيل أولًا",
    "h_done_accepted": "صار من نصيبكم",
    "h_done_rejected": "شكرًا، نعيده إلى مكانه",
    "h_was_accepted": "تولّى أحدهم هذا العميل",
    "h_was_rejected": "أُعيد هذا العميل",
    "h_was_expired": "انتهت مهلة هذا التسليم",
    "h_unchanged": "كان الرد قد سُجّل من قبل، ولم يتغيّر شيء.",
    "inaccurate_data": "البيانات غير صحيحة",
    "not_persona": "ليس من عملائنا المستهدفين",
    "premature": "الوقت مبكر",
    "duplicate": "لدينا هذا العميل من قبل",
}
WORDS: Mapping[str, Mapping[str, str]] = MappingProxyType({"en": _ENGLISH, "ar": _ARABIC})

#: Names of fields; a field that is not here is called by its name.
_FIELDS_ENGLISH = {
    "email": "E-mail", "first_name": "First name", "last_name": "Last name", "company": "Company",
    "title": "Job title", "phone": "Phone", "country": "Country", "language": "Language",
    "timezone": "Time zone", "role": "Role",
    "industry": "Industry", "employees": "Number of employees", "use_case": "What you need it for",
}  # fmt: skip
_FIELDS_ARABIC = {
    "email": "البريد الإلكتروني", "first_name": "الاسم", "last_name": "اسم العائلة", "company": "الشركة",
    "title": "المسمّى الوظيفي", "phone": "الهاتف", "country": "البلد", "language": "اللغة",
    "timezone": "المنطقة الزمنية", "role": "الدور", "industry": "القطاع", "employees": "عدد الموظفين",
    "use_case": "الغرض من الاستخدام",
}  # fmt: skip
_FIELDS = {"en": _FIELDS_ENGLISH, "ar": _FIELDS_ARABIC}


def spoken(*tags: str | None) -> str:
    """The first of `tags` (`ar-EG`) that the house speaks, as a language; else English."""
    for tag in tags:
        language = (tag or "").replace("_", "-").split("-")[0].casefold()
        if language in WORDS:
            return language
    return FALLBACK


def wished(header: str | None) -> str | None:
    """The first language of an Accept-Language header that the house speaks."""
    for part in (header or "").split(",")[:20]:
        language = part.split(";")[0].strip().split("-")[0].casefold()
        if language in WORDS:
            return language
    return None


def field_name(name: str, language: str) -> str:
    """What a field is called on a page."""
    return _FIELDS[language].get(name) or name.replace("_", " ").capitalize()


#: Kinds of pieces; English needs none.
_KINDS = {
    "ar": {
        "guide": "دليل", "workbook": "كراسة عمل", "checklist": "قائمة مراجعة", "case study": "قصة نجاح",
        "template": "نموذج", "video": "فيديو", "webinar": "ندوة", "report": "تقرير", "article": "مقال",
    },
}  # fmt: skip


def kind_name(kind: str, language: str) -> str:
    """What a kind of piece is called on a page."""
    return _KINDS.get(language, {}).get(kind.casefold()) or kind.capitalize()

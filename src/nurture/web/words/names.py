"""What fields and kinds of pieces are called."""

from __future__ import annotations

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

"""What sample people and companies are called; Arabic names in their own script, with a Latin spelling."""

from __future__ import annotations

from dataclasses import dataclass

#: (as it is written, as it stands in an address)
Name = tuple[str, str]


@dataclass(frozen=True)
class Place:
    """A country's share of the sample, and what is usual there."""

    code: str
    share: int
    zone: str
    prefix: str
    first: tuple[Name, ...]
    last: tuple[Name, ...]
    #: First halves of company names.
    companies: tuple[Name, ...]
    arabic: bool = False


def _plain(words: str) -> tuple[Name, ...]:
    return tuple((word.replace("_", " "), word.replace("_", "")) for word in words.split())


def _paired(words: str) -> tuple[Name, ...]:
    pairs = [word.split("=") for word in words.split()]
    return tuple((native.replace("_", " "), latin) for native, latin in pairs)


_ARABIC_FIRST = _paired(
    "أحمد=ahmed محمد=mohammed خالد=khaled فاطمة=fatima نورة=noura عبدالله=abdullah مريم=mariam سارة=sara "
    "يوسف=yousef عمر=omar ليلى=layla هند=hind ريم=reem فيصل=faisal سلطان=sultan طارق=tarek منى=mona "
    "دينا=dina كريم=karim لطيفة=latifa ماجد=majed شيماء=shaimaa وليد=walid"
)
_GULF_LAST = _paired(
    "الحربي=alharbi القحطاني=alqahtani المنصوري=almansoori النعيمي=alnuaimi العتيبي=alotaibi "
    "العنزي=alenezi المطيري=almutairi الكعبي=alkaabi الدوسري=aldossari الغامدي=alghamdi الزعابي=alzaabi "
    "الرشيدي=alrashidi الهاشمي=alhashimi"
)
_EGYPTIAN_LAST = _paired(
    "حسين=hussein عبدالرحمن=abdelrahman السيد=elsayed منصور=mansour شاهين=shaheen فؤاد=fouad "
    "رمضان=ramadan سليمان=soliman عثمان=osman البدري=elbadry زكي=zaki"
)
_ARABIC_COMPANIES = _paired(
    "الواحة=alwaha النخيل=alnakheel الخليج=alkhaleej الأفق=alofuq الميناء=almina الصحراء=alsahra "
    "الرواد=alrowad الجسر=aljisr القافلة=alqafila السهم=alsahm اللؤلؤ=allulu المدار=almadar الينبوع=alyanbu "
    "النورس=alnawras الساحل=alsahel القمة=alqimma الوادي=alwadi السفينة=alsafina المنارة=almanara"
)
_NORTHERN = _plain(
    "Alder Birch Copper Delta Ember Falcon Granite Harbor Indigo Juniper Kestrel Lantern Meridian Nimbus "
    "Pioneer Quarry Ridge Summit Thistle Umbra Vertex Willow Yarrow Zephyr Anchor Beacon Cinder Driftwood"
)

PLACES = (
    Place(
        "RO", 19, "Europe/Bucharest", "+4072",
        _plain("Ana Andrei Ioana Mihai Elena Radu Cristina Vlad Simona Bogdan Raluca Ștefan Mădălina"),
        _plain("Popescu Ionescu Dumitru Stan Țurcanu Munteanu Șerban Dobre Lungu Marin Căpraru Neagu"),
        _plain("Carpat Dacia Brad Stejar Olt Mureș Zimbru Ceahlău Bistrița Cetate Codru Izvor Luceafăr Prut"),
    ),
    Place(
        "DE", 15, "Europe/Berlin", "+49151",
        _plain("Lukas Anna Jürgen Sabine Felix Katrin Jonas Mareike Uwe Greta Matthias Birgit Sören Heike"),
        _plain("Müller Schäfer Weiß Becker Hofmann Köhler Krüger Vogel Brandt Lindner Jäger Böhm Seidel"),
        _plain("Nordlicht Rheinwerk Elbe Falke Linde Kranich Hanse Isar Taunus Weser Spree Adler Buche"),
    ),
    Place(
        "GB", 16, "Europe/London", "+447700",
        _plain("Oliver Amelia Priya George Isla Harry Zoë Callum Niamh Tariq Freya Rhys Charlotte Dev"),
        _plain("Bennett Clarke Okafor Hughes Patel O'Brien Shaw Whitaker Doyle Kaur Fletcher Barnes Sutton"),
        _NORTHERN[:16],
    ),
    Place(
        "US", 18, "America/New_York", "+1212555",
        _plain("Emma Liam Maria Jamal Grace Ethan Sofia Tyler Mei Carlos Hannah Marcus Olivia Diego"),
        _plain("Johnson Nguyen Ramirez Walker Carter Kim Foster Goldberg Reyes Price Hayes Bryant Coleman"),
        _NORTHERN[14:],
    ),
    Place("AE", 10, "Asia/Dubai", "+97150", _ARABIC_FIRST, _GULF_LAST, _ARABIC_COMPANIES[:14], arabic=True),
    Place("SA", 10, "Asia/Riyadh", "+96655", _ARABIC_FIRST, _GULF_LAST, _ARABIC_COMPANIES[4:], arabic=True),
    Place("EG", 8, "Africa/Cairo", "+201", _ARABIC_FIRST, _EGYPTIAN_LAST, _ARABIC_COMPANIES[::2], True),
    Place("KW", 4, "Asia/Kuwait", "+9655", _ARABIC_FIRST, _GULF_LAST, _ARABIC_COMPANIES[1::2], arabic=True),
)  # fmt: skip

#: Industry to second halves of company names, in Latin and in Arabic script.
TRADES: dict[str, tuple[tuple[str, ...], tuple[Name, ...]]] = {
    "saas": (("Software", "Cloud", "Labs", "Apps"), _paired("للبرمجيات=software للحلول_السحابية=cloud")),
    "fintech": (("Pay", "Ledger", "Capital"), _paired("للمدفوعات=pay للتقنية_المالية=fintech")),
    "ecommerce": (("Shop", "Market", "Goods"), _paired("للتجارة_الإلكترونية=shop ستور=store")),
    "distribution": (("Distribution", "Supply"), _paired("للتوزيع=distribution للتوريد=supply")),
    "wholesale": (("Wholesale", "Trading"), _paired("للجملة=wholesale للتجارة=trading")),
    "logistics": (("Logistics", "Freight"), _paired("للخدمات_اللوجستية=logistics للشحن=freight")),
    "agriculture": (("Farms", "Agro"), _paired("للزراعة=agro")),
    "retail": (("Retail", "Stores"), _paired("للتجزئة=retail")),
}

#: Role to titles, in English and in Arabic.
TITLES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "operations": (("Head of Operations", "Operations Manager"), ("مدير العمليات", "مديرة العمليات")),
    "support": (("Head of Support", "Customer Service Lead"), ("مدير خدمة العملاء", "مشرفة الدعم")),
    "it": (("IT Manager", "Systems Administrator"), ("مدير تقنية المعلومات",)),
    "founder": (("Founder", "Managing Director"), ("المدير العام", "شريك مؤسس")),
    "engineer": (("Software Engineer", "Integration Engineer"), ("مهندس برمجيات",)),
    "student": (("Student",), ("طالب",)),
    "professor": (("Lecturer",), ("محاضِرة",)),
    "analyst": (("Market Analyst",), ("محلل أسواق",)),
}

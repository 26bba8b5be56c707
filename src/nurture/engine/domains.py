"""What kind of domain an address is at: a company's, a free mail provider's, a throw-away one, or a university's.

A signal for conditions (`domain_kind`), never a refusal by itself: lists of throw-away domains are never complete, and
people with a private address work somewhere too.
"""

from __future__ import annotations

import re
from functools import cache

COMPANY, FREE, DISPOSABLE, ACADEMIC = "company", "free", "disposable", "academic"

_FREE_MAIL = """
    gmail.com googlemail.com outlook.com hotmail.com live.com msn.com passport.com icloud.com me.com mac.com aol.com
    aim.com yahoo.com ymail.com rocketmail.com proton.me protonmail.com protonmail.ch pm.me tutanota.com tutanota.de
    tuta.io tuta.com tutamail.com keemail.me fastmail.com fastmail.fm hey.com zoho.com zohomail.com zohomail.eu
    mail.com email.com usa.com post.com consultant.com engineer.com europe.com gmx.com gmx.net gmx.de gmx.at gmx.ch
    gmx.fr gmx.eu gmx.us gmx.co.uk web.de t-online.de freenet.de arcor.de mailbox.org posteo.de posteo.net posteo.eu
    online.de vodafone.de 1und1.de bluewin.ch hispeed.ch sunrise.ch chello.at aon.at orange.fr wanadoo.fr free.fr
    laposte.net sfr.fr neuf.fr bbox.fr numericable.fr libero.it virgilio.it tiscali.it tin.it alice.it aruba.it
    inwind.it iol.it email.it fastwebnet.it telefonica.net terra.es ono.com sapo.pt netcabo.pt iol.pt
    mail.telepac.pt clix.pt ziggo.nl kpnmail.nl planet.nl home.nl xs4all.nl hetnet.nl upcmail.nl casema.nl skynet.be
    telenet.be proximus.be scarlet.be voo.be btinternet.com btopenworld.com sky.com virginmedia.com talktalk.net
    ntlworld.com blueyonder.co.uk tiscali.co.uk plusnet.com o2.co.uk eircom.net eir.ie comcast.net verizon.net
    att.net sbcglobal.net bellsouth.net cox.net charter.net spectrum.net optonline.net frontier.com earthlink.net
    juno.com netzero.net windstream.net centurylink.net rr.com shaw.ca rogers.com sympatico.ca bell.net telus.net
    videotron.ca cogeco.ca bigpond.com bigpond.net.au optusnet.com.au iinet.net.au tpg.com.au xtra.co.nz
    slingshot.co.nz mail.ru inbox.ru list.ru bk.ru internet.ru rambler.ru lenta.ru yandex.ru yandex.com yandex.by
    yandex.kz yandex.ua ya.ru ukr.net i.ua meta.ua bigmir.net tut.by mail.by wp.pl o2.pl onet.pl onet.eu op.pl vp.pl
    poczta.onet.pl interia.pl interia.eu gazeta.pl poczta.fm tlen.pl seznam.cz email.cz post.cz centrum.cz volny.cz
    atlas.cz azet.sk centrum.sk zoznam.sk freemail.hu citromail.hu indamail.hu vipmail.hu abv.bg mail.bg dir.bg
    yahoo.ro k.ro home.ro email.ro siol.net net.hr inet.hr t-com.me otenet.gr in.gr mail.gr inbox.lv apollo.lv
    one.lv mail.ee hot.ee online.ee telia.com spray.se comhem.se bredband.net online.no broadpark.no getmail.no
    mail.dk post.tele.dk jubii.dk ofir.dk pp.inet.fi luukku.com suomi24.fi kolumbus.fi elisanet.fi simnet.is
    mynet.com superonline.com ttmail.com walla.com walla.co.il bezeqint.net netvision.net.il 012.net.il zahav.net.il
    maktoob.com emirates.net.ae eim.ae chmail.ir mailfa.com rediffmail.com rediff.com indiatimes.com sify.com in.com
    qq.com foxmail.com 163.com 126.com 139.com 189.cn yeah.net sina.com sina.cn sohu.com tom.com 21cn.com aliyun.com
    wo.cn vip.163.com vip.qq.com vip.sina.com naver.com daum.net hanmail.net nate.com kakao.com korea.com
    docomo.ne.jp ezweb.ne.jp au.com softbank.ne.jp i.softbank.jp nifty.com biglobe.ne.jp ocn.ne.jp so-net.ne.jp
    goo.jp excite.co.jp pchome.com.tw hinet.net netvigator.com singnet.com.sg starhub.net.sg streamyx.com uol.com.br
    bol.com.br terra.com.br ig.com.br globo.com globomail.com oi.com.br zipmail.com.br prodigy.net.mx
    fibertel.com.ar arnet.com.ar ciudad.com.ar speedy.com.ar mweb.co.za telkomsa.net webmail.co.za vodamail.co.za
    iafrica.com
"""
#: Where anybody can have an address for nothing, or has one with the line at home.
FREE_MAIL = frozenset(_FREE_MAIL.split())
#: The brands that have a domain in each country.
_BRANDS = re.compile(r"(yahoo|hotmail|outlook|ymail|aol|gmx|yandex)\.([a-z]{2}|com?\.[a-z]{2})")
_LIVE = re.compile(r"live\.(de|at|fr|it|nl|be|dk|se|no|ie|ca|cn|jp|in|ru|hk|com\.(au|mx|ar|pt|my|sg)|co\.(uk|za|kr))")
#: .edu; and what stands for academic under a country's domain: ac.uk, edu.au, edu.pl; and ac.XX of JP, KR, NZ, ZA, TH …
_ACADEMIC = re.compile(r"(.+\.)?edu|.+\.(edu|ac)\.[a-z]{2}")
#: Universities of countries that have no such domain of the second level mostly say what they are.
_UNIVERSITY = re.compile(r"(.+\.)?(uni|univ|tu|fh|hs)-[a-z0-9-]+\.(de|at|ch|fr|eu|hu|bg|rs|me|ba|si)")


def kind_of(domain: str) -> str:
    """company, free, disposable or academic; `domain` in small letters. What is under a throw-away domain is one."""
    parents = [domain, *(domain.split(".", place)[place] for place in range(1, domain.count(".")))]
    if domain in FREE_MAIL or _BRANDS.fullmatch(domain) or _LIVE.fullmatch(domain):
        return FREE
    if any(parent in _throw_away() for parent in parents):
        return DISPOSABLE
    if _ACADEMIC.fullmatch(domain) or _UNIVERSITY.fullmatch(domain):
        return ACADEMIC
    return COMPANY


@cache
def _throw_away() -> frozenset[str]:
    """The list that is kept by many (disposable-email-domains, MIT)."""
    from disposable_email_domains import blocklist

    return frozenset(blocklist)

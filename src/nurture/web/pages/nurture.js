// Nurture: page views of visitors who agreed (docs/website.md).
(() => {
  const doc = document, at = location, me = doc.currentScript, nav = navigator;
  const hex = () => [...crypto.getRandomValues(new Uint8Array(16))].map((b) => (b + 256).toString(16).slice(1)).join("");
  let visitor, left, [, token] = at.search.match(/[?&]nurture=([\w.-]+)/) || [];
  if (token) {
    const rest = at.search.replace(/([?&])nurture=[^&]*&?/, "$1").replace(/[?&]$/, "");
    history.replaceState(history.state, "", at.pathname + rest + at.hash);
  }
  const track = (event, data = {}) => {
    if (!visitor) return;
    const gpc = nav.globalPrivacyControl === true, events = [{ event, id: hex(), data }];
    const body = JSON.stringify({ visitor, gpc, token, events });
    const url = new URL("events?key=" + me.dataset.key, me.src);
    token = undefined;
    nav.sendBeacon(url, body) || fetch(url, { method: "POST", body, keepalive: true, mode: "no-cors" });
  };
  const page = () => {
    const data = { path: at.pathname, title: doc.title.slice(0, 200) };
    if (doc.referrer) data.referrer = new URL(doc.referrer).hostname;
    for (const [name, value] of new URLSearchParams(at.search))
      if (name.startsWith("utm_")) data[name] = value.slice(0, 100);
    track("page_viewed", data);
    for (const field of doc.querySelectorAll('form[action*="/f/"] [name=visitor]')) field.value = visitor;
  };
  const consent = (granted = true) => {
    if (!granted) return (visitor = localStorage.removeItem("nurture"));
    if (visitor || nav.doNotTrack === "1") return;
    try { visitor = localStorage.nurture ||= hex(); } catch { return; }
    doc.readyState === "loading" ? addEventListener("DOMContentLoaded", page) : page();
  };
  addEventListener("pagehide", () => {
    const seconds = Math.round(performance.now() / 1000);
    left ||= track("page_left", { path: at.pathname, seconds }) || true;
  });
  window.nurture = { consent, track };
  try { if (me.dataset.consent === "granted" || localStorage.nurture) consent(); } catch {}
})();

// Nurture: page views of visitors who agreed (docs/website.md).
(() => {
  const me = document.currentScript, nav = navigator;
  const hex = () => [...crypto.getRandomValues(new Uint8Array(16))].map((b) => (b + 256).toString(16).slice(1)).join("");
  let visitor, left, [, token] = location.search.match(/[?&]nurture=([\w-]+)/) || [];
  if (token) {
    const rest = location.search.replace(/([?&])nurture=[^&]*&?/, "$1").replace(/[?&]$/, "");
    history.replaceState(history.state, "", location.pathname + rest + location.hash);
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
    const data = { path: location.pathname, title: document.title.slice(0, 200) };
    if (document.referrer) data.referrer = new URL(document.referrer).hostname;
    for (const [name, value] of new URLSearchParams(location.search))
      if (name.startsWith("utm_")) data[name] = value.slice(0, 100);
    track("page_viewed", data);
    for (const field of document.querySelectorAll('form[action*="/f/"] [name=visitor]')) field.value = visitor;
  };
  const consent = (granted = true) => {
    if (!granted) return (visitor = localStorage.removeItem("nurture"));
    if (visitor || nav.doNotTrack === "1") return;
    try { visitor = localStorage.nurture ||= hex(); } catch { return; }
    document.readyState === "loading" ? addEventListener("DOMContentLoaded", page) : page();
  };
  addEventListener("pagehide", () => {
    const seconds = Math.round(performance.now() / 1000);
    left ||= track("page_left", { path: location.pathname, seconds }) || true;
  });
  window.nurture = { consent, track };
  if (me.dataset.consent === "granted") consent();
})();

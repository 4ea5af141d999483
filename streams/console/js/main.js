// Puts the page together: who asks, who shows, which view.

import { AlertStream } from "./events.js";
import { AlertsView, isLoud } from "./alerts.js";
import { Api } from "./api.js";
import { Box } from "./store.js";
import { ChartsView } from "./charts.js";
import { ConnectionLine } from "./connection.js";
import { Help } from "./help.js";
import { KeyDialog, Keys } from "./key.js";
import { AlertNews } from "./news.js";
import { OverviewView } from "./overview.js";
import { Poller } from "./polling.js";
import { Theme } from "./theme.js";
import { Toasts } from "./toasts.js";
import { alertsOf, mapOf, metricsOf } from "./shapes.js";
import { byId, el, say, set } from "./dom.js";

const EVERY_MS = 2_000;
/** With the events open, the list is asked for only to be sure. */
const ALERTS_EASY_MS = 6_000;
const METRICS_MS = 5_000;
const TITLE = "Hopline";
const VIEWS = ["overview", "charts", "alerts"];

const keys = new Keys();
const api = new Api(keys);
/** @type {{map: Box<any>, alerts: Box<any>, metrics: Box<any>}} */
const data = { map: new Box(null), alerts: new Box(null), metrics: new Box(null) };
const news = new Box(0);
const toasts = new Toasts();
const theme = new Theme();
let listening = false;
/** @type {{name: string, view: any}} */
let shown = { name: "", view: null };

const poller = new Poller(api, () => {
  const error = poller.worst();
  if (error?.kind === "key" && !poller.held) {
    // Asking on with a key that is refused would only be refused again.
    poller.hold();
    stream.stop();
    line.keyWhy = keys.current() ? `The key was refused: ${error.message}` : "The gateway asks for a key. Press “Key” and give one.";
    keyDialog.open(keys.current() ? `The key was refused: ${error.message}` : "");
  }
  line.show();
});
const line = new ConnectionLine(api, poller, () => {
  const times = [data.map.value?.atMs, data.alerts.value?.atMs, data.metrics.value?.atMs].filter(Number.isFinite);
  return times.length ? Math.max(...times) : Number.NaN;
});
const keyDialog = new KeyDialog(keys, () => {
  // What the last key was allowed to see may be nothing of the next one's.
  data.map.set(null);
  data.alerts.set(null);
  data.metrics.set(null);
  alertNews.firing = null;
  show(true);
  poller.release();
  stream.start();
});
const alertNews = new AlertNews(toasts, news);
const alertsTask = {
  name: "alerts", everyMs: () => (listening ? ALERTS_EASY_MS : EVERY_MS), path: () => "v1/alerts", rank: 0,
  take: (/** @type {unknown} */ answer) => {
    data.alerts.set(alertsOf(answer));
    alertNews.polled(data.alerts.value.alerts);
  },
};
const stream = new AlertStream(
  api,
  (event) => {
    alertNews.came(event);
    poller.soon(alertsTask);
  },
  (open) => {
    listening = open;
  },
);

/**
 * Show the view that the address names.
 * @param {boolean} [anew] also if it is shown already
 */
function show(anew = false) {
  const [, name = "", about = ""] = /^#\/([a-z]*)(?:\/(.*))?$/.exec(location.hash) ?? [];
  const wanted = VIEWS.includes(name) ? name : "overview";
  if (wanted !== shown.name || anew) {
    shown.view?.end();
    shown = { name: wanted, view: make(wanted) };
    byId("view").replaceChildren(shown.view.root);
    window.scrollTo(0, 0);
  }
  shown.view.lead?.(decoded(about));
  for (const link of document.querySelectorAll(".tabs a")) {
    set(link, "aria-current", link.getAttribute("data-view") === wanted ? "page" : null);
  }
  title();
}

/** @param {string} name */
function make(name) {
  switch (name) {
    case "charts":
      return new ChartsView(poller, data.map);
    case "alerts":
      return new AlertsView(api, poller, data.alerts, news, () => poller.now(alertsTask));
    default:
      return new OverviewView(api, data);
  }
}

/** @param {string} text */
function decoded(text) {
  try {
    return decodeURIComponent(text).slice(0, 200);
  } catch {
    return "";
  }
}

/** The title says what fires, for who looks at another tab. */
function title() {
  const firing = (data.alerts.value?.alerts ?? []).filter(isLoud).length;
  const view = { overview: "", charts: "Charts · ", alerts: "Alerts · " }[shown.name] ?? "";
  const text = `${firing ? `(${firing}) ` : ""}${view}${TITLE}`;
  if (document.title !== text) {
    document.title = text;
  }
  const count = byId("tab-count");
  say(count, firing ? String(firing) : "");
  set(count, "hidden", firing === 0);
  set(count, "aria-label", firing ? `${firing} firing` : null);
}

/** @param {string} view */
const go = (view) => () => {
  location.hash = `#/${view}`;
};

new Help([
  { key: "1", title: "overview", act: go("") },
  { key: "2", title: "charts", act: go("charts") },
  { key: "3", title: "alerts", act: go("alerts") },
  { key: "r", title: "charts: the next time range", act: () => shown.view.nextRange?.() },
  { key: "p", title: "charts: pause, go on", act: () => shown.view.pause?.() },
  { key: "n", title: "ask for everything now", act: () => poller.again() },
  { key: "t", title: "theme: as the system has it, light, dark", act: () => theme.next() },
  { key: "k", title: "API key", act: () => keyDialog.open("") },
  { key: "?", title: "this list", act: () => byId("help-button").click() },
  { key: "Escape", title: "dismiss the newest message, close what is open", act: () => toasts.dismiss() },
]);

byId("skip").addEventListener("click", (/** @type {Event} */ event) => {
  // The address is the view's: a fragment of its own would change it.
  event.preventDefault();
  byId("main").focus();
});
window.addEventListener("hashchange", () => {
  show();
  poller.wake();
  byId("main").focus({ preventScroll: true });
});
// A page that is left may be kept by the browser, and come back as it was; until then it must hold no connection.
window.addEventListener("pagehide", () => stream.stop());
window.addEventListener("pageshow", (event) => {
  if (event.persisted) {
    stream.start();
    poller.again();
  }
});
data.alerts.look(title);
data.metrics.look((metrics) => {
  const names = (metrics?.tenants ?? []).map((/** @type {{name: string}} */ tenant) => tenant.name);
  byId("tenant-names").replaceChildren(...names.map((/** @type {string} */ name) => el("option", { value: name })));
});

show();
poller.add({ name: "map", everyMs: () => EVERY_MS, path: () => (shown.name === "overview" || !data.map.value ? "v1/map" : null), rank: 0, take: (answer) => data.map.set(mapOf(answer)) });
poller.add(alertsTask);
poller.add({ name: "metrics", everyMs: () => METRICS_MS, path: () => (shown.name === "overview" ? "api/metrics" : null), rank: 2, take: (answer) => data.metrics.set(metricsOf(answer)) });
stream.start();
line.show();

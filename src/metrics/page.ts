/**
 * The page: one file without anything from outside, whose script and style are named by their hashes in its policy.
 *
 * @module
 */
import { formatDuration } from "../config/duration.ts";
import { formatSize } from "../config/size.ts";
import { MOST_POINTS, STEP_MS } from "./history.ts";
import { pageScript } from "./page_script.js";

/** How long nothing may come before the page says so: more than the longest wait for an answer of the master. */
const SILENCE_MS = 10_000;

const STYLE = `
:root {
  color-scheme: light dark;
  --back: #f6f7f9; --panel: #fff; --line: #dde1e7; --text: #1a1f27; --dim: #5c6675;
  --link: #0b57c2; --chart: #2f6fd6;
  --good: #157038; --wait: #8a5a00; --bad: #b3261e; --off: #5c6675;
}
@media (prefers-color-scheme: dark) {
  :root {
    --back: #12151a; --panel: #1a1f26; --line: #2d343f; --text: #e4e8ee; --dim: #98a3b3;
    --link: #8ab4f8; --chart: #7aa7f5;
    --good: #6ccf8e; --wait: #e8b453; --bad: #ff8a80; --off: #98a3b3;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; max-width: 80rem; padding: 1.25rem;
  background: var(--back); color: var(--text);
  font: 0.9375rem/1.45 system-ui, sans-serif; overflow-wrap: anywhere;
}
header { display: flex; flex-wrap: wrap; align-items: center; gap: 0.25rem 0.75rem; }
h1 { margin: 0; font-size: 1.25rem; }
#live { margin-left: auto; }
header p, footer { flex-basis: 100%; margin: 0; color: var(--dim); font-size: 0.875rem; }
footer { margin-top: 1rem; }
a { color: var(--link); }
#lost {
  margin: 1rem 0 0; padding: 0.6rem 0.9rem; border-radius: 0.5rem;
  border: 1px solid var(--bad); color: var(--bad); background: var(--panel);
}
body.stale table.services { opacity: 0.55; }
body:not(.filled) table.services { display: none; }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption {
  padding: 0.9rem 0 0.3rem; text-align: left; font-weight: 600; font-size: 0.875rem;
}
th, td { padding: 0.55rem 0.7rem; text-align: left; vertical-align: middle; }
thead th { color: var(--dim); font-weight: 500; font-size: 0.8125rem; white-space: nowrap; }
table.services {
  margin-top: 1.1rem; background: var(--panel);
  border: 1px solid var(--line); border-radius: 0.6rem; border-spacing: 0; border-collapse: separate;
}
table.services > caption, .hidden {
  position: absolute; width: 1px; height: 1px; padding: 0; overflow: hidden; clip-path: inset(50%);
}
tr.service > *, tr.detail > td { border-top: 1px solid var(--line); }
tr.detail > td { padding: 0.4rem 0.9rem 1rem; border-top-style: dashed; }
[data-state] { display: inline-flex; align-items: center; gap: 0.4em; white-space: nowrap; color: var(--wait); }
[data-state]::before { content: ""; width: 0.6em; height: 0.6em; border-radius: 50%; background: currentColor; }
[data-state=""] { visibility: hidden; }
[data-state="ready"] { color: var(--good); }
[data-state="idle"]::before, [data-state="waiting"]::before { background: none; border: 2px solid currentColor; }
[data-state="idle"], [data-state="waiting"] { color: var(--good); }
[data-state="failed"], [data-state="killing"] { color: var(--bad); }
[data-state="stopped"], [data-state="detached"], [data-state="draining"] { color: var(--off); }
h1 + [data-state] { font-size: 1.05rem; font-weight: 600; }
th.name { font-weight: 600; }
th.name button {
  display: flex; align-items: baseline;
  padding: 0.2rem 0; border: 0; background: none; color: inherit; font: inherit; text-align: left;
  cursor: pointer; overflow-wrap: anywhere;
}
th.name button::before {
  content: ""; flex: none; width: 0.4em; height: 0.4em; margin: 0 0.6em 0.15em 0.15em;
  border: solid var(--dim); border-width: 0 2px 2px 0; transform: rotate(-45deg);
}
th.name button[aria-expanded="true"]::before { transform: rotate(45deg); }
th.name button:hover { text-decoration: underline; }
button:focus-visible, a:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
.ready small { display: block; color: var(--dim); white-space: nowrap; }
.chart .number { display: block; font-size: 0.8125rem; line-height: 1.2; white-space: nowrap; }
.exit { color: var(--dim); font-size: 0.8125rem; }
svg { display: block; width: 100%; height: 1.5rem; overflow: visible; }
td.chart { width: 11%; min-width: 5.5rem; }
svg .line {
  fill: none; stroke: var(--chart); stroke-width: 1.5; stroke-linejoin: round;
  vector-effect: non-scaling-stroke;
}
svg .area { fill: var(--chart); opacity: 0.14; }
.problem { margin: 0.6rem 0 0; color: var(--bad); }
.problem:empty { display: none; }
.facts { margin: 0.8rem 0 0; color: var(--dim); font-size: 0.875rem; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr)); gap: 1rem; margin-top: 0.6rem; }
figure { margin: 0; min-width: 0; }
figure svg { height: 4rem; border-bottom: 1px solid var(--line); }
figcaption, figure small { display: flex; justify-content: space-between; gap: 0.5rem; font-size: 0.8125rem; }
figcaption { flex-wrap: wrap; overflow-wrap: normal; }
figcaption span, figure small { color: var(--dim); }
table.processes th, table.processes td, table.listeners th, table.listeners td { padding: 0.3rem 0.7rem 0.3rem 0; }
table.processes td, table.listeners td { border-top: 1px solid var(--line); font-size: 0.875rem; }
@media (max-width: 56rem) {
  body { padding: 0.8rem; }
  table, tbody { display: block; }
  thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  caption { display: block; }
  tr.service, .processes tr, .listeners tr { display: grid; grid-template-columns: repeat(4, minmax(0, 1fr)); gap: 0.5rem 0.8rem; }
  tr.service { padding: 0.7rem 0.8rem; border-top: 1px solid var(--line); }
  tr.service:first-child { border-top: 0; }
  tr.detail:not([hidden]), tr.detail > td { display: block; }
  tr.detail > td { padding: 0.2rem 0.8rem 0.9rem; }
  tr.service > *, .processes td, .listeners td { display: block; padding: 0 !important; border-top: 0 !important; min-width: 0; }
  .processes tr, .listeners tr { padding: 0.45rem 0; border-top: 1px solid var(--line); }
  td[data-label]::before { content: attr(data-label); display: block; color: var(--dim); font-size: 0.75rem; font-weight: 400; }
  tr.service .stateCell::before { content: none; }
  tr.service .name { grid-column: 1 / 3; }
  tr.service .stateCell { grid-column: 3 / 5; justify-self: end; align-self: center; }
  td.chart { order: 1; }
  tr.service .exit { grid-column: auto / span 2; }
  tr.service .exit.empty { visibility: hidden; }
  td.chart { width: auto; min-width: 0; }
  .figures { grid-template-columns: repeat(2, minmax(0, 1fr)); }
  .processes tr { grid-template-columns: repeat(5, minmax(0, 1fr)); }
  .listeners td:first-child { grid-column: 1 / -1; }
  .ready small { white-space: normal; }
}
@media (max-width: 36rem) {
  tr.service { grid-template-columns: repeat(2, minmax(0, 1fr)); }
  tr.service .name { grid-column: 1; }
  tr.service .stateCell { grid-column: 2; }
  tr.service .exit { grid-column: 1 / -1; }
  tr.service .exit.empty { display: none; }
  .processes tr { grid-template-columns: repeat(3, minmax(0, 1fr)); }
}
`;

const COLUMNS = ["Service", "State", "Ready", "Connections", "Accepts/s", "CPU", "Memory"]
  .concat("Restarts", "Last exit");

const HEAD = COLUMNS.map((name) => `<th scope="col" role="columnheader">${name}</th>`).join("");

const BODY = `
<header>
  <h1>zc</h1>
  <span id="state" data-state=""></span>
  <span id="live" data-state="starting">connecting</span>
  <p id="master"></p>
  <p id="changes"></p>
</header>
<p id="lost" hidden></p>
<p id="announcement" class="hidden" aria-live="polite"></p>
<noscript><p>This page needs JavaScript. <a href="metrics">/metrics</a> has the same numbers as text.</p></noscript>
<main>
<table class="services" role="table">
<caption>Services</caption>
<thead role="rowgroup"><tr role="row">${HEAD}</tr></thead>
<tbody id="services" role="rowgroup"></tbody>
</table>
</main>
<footer>The charts show ten minutes. For programs: <a href="metrics">metrics</a>, <a href="ready">ready</a>,
<a href="live">live</a>.</footer>
`;

const GIVEN = `{ formatDuration: ${formatDuration}, formatSize: ${formatSize}, ` +
  `windowMs: ${STEP_MS * MOST_POINTS}, silenceMs: ${SILENCE_MS} }`;
const SCRIPT = `(${pageScript})(${GIVEN});`;

/** The page with the header field that allows its own script and style, and nothing else. */
export interface Page {
  readonly html: string;
  /** The value of `content-security-policy`. */
  readonly policy: string;
}

let made: Promise<Page> | undefined;

/** The page, which is made once. */
export function pageOf(): Promise<Page> {
  return made ??= makePage();
}

async function makePage(): Promise<Page> {
  const html = `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>zc</title>
<link rel="icon" href="data:,">
<style>${STYLE}</style>
</head>
<body>${BODY}<script>${SCRIPT}</script></body>
</html>
`;
  const policy = [
    "default-src 'none'",
    `script-src ${await hashOf(SCRIPT)}`,
    `style-src ${await hashOf(STYLE)}`,
    "connect-src 'self'",
    "img-src data:",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join("; ");
  return { html, policy };
}

async function hashOf(text: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return `'sha256-${new Uint8Array(digest).toBase64()}'`;
}

/**
 * The script of the page. Its text is sent to the browser as it stands, so it uses nothing from outside but the
 * browser and the two functions that it is given.
 *
 * All that comes from the master is set as text, never as HTML.
 *
 * @module
 */

/** Shows what `/events` sends, until the page is closed. */
export function pageScript({ formatDuration, formatSize, windowMs, silenceMs }) {
  const SVG = "http://www.w3.org/2000/svg";
  const RETRY_MS = 2_000;
  const CHARTS = [
    { key: "connections", name: "Connections", format: (value) => String(value), least: 1 },
    { key: "accepts", name: "Accepts/s", format: rate, least: 1 },
    { key: "cpu", name: "CPU", format: percent, least: 0.05 },
    { key: "memoryBytes", name: "Memory", format: formatSize, least: 1 },
  ];
  const PROCESS_COLUMNS = [
    ["PID", ({ pid }) => pid],
    ["Slot", ({ slot }) => known(slot)],
    ["State", ({ state }) => state],
    ["Generation", ({ generation }) => generation],
    ["Age", ({ ageMs }) => formatDuration(ageMs)],
    ["Open", ({ connections }) => known(connections)],
    ["Accepted", ({ accepted }) => known(accepted)],
    ["CPU", ({ cpuMs }) => known(cpuMs, formatDuration)],
    ["Memory", ({ memoryBytes }) => known(memoryBytes, formatSize)],
    ["Heartbeat", ({ heartbeatMs }) => known(heartbeatMs, formatDuration)],
  ];
  const LISTENER_COLUMNS = [
    ["Address", ({ address }) => address],
    ["Sockets", ({ sockets }) => sockets],
    ["Queue", ({ queue }) => known(queue)],
    ["Limit", ({ queueLimit }) => known(queueLimit)],
  ];

  const byId = (id) => document.getElementById(id);
  const services = byId("services");
  /** The rows of the services, by id. */
  const rows = new Map();
  /** The points of the charts, the oldest first. */
  let points = [];
  /** The time of the last status, by the clock of the server: the browser may have another time. */
  let statusAt = 0;
  let source, messageAt = 0, isLost = false, detailCount = 0;

  function known(value, format = String) {
    return value === null || value === undefined ? "–" : format(value);
  }

  function rate(value) {
    return value >= 100 || value === 0 ? String(Math.round(value)) : value.toFixed(1);
  }

  function percent(value) {
    return `${value < 0.0995 ? (value * 100).toFixed(1) : Math.round(value * 100)} %`;
  }

  function plural(count, noun) {
    return `${count} ${noun}${count === 1 ? "" : "s"}`;
  }

  function node(tag, options = {}, ...children) {
    const { text, ...attributes } = options;
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    if (text !== undefined) made.textContent = text;
    made.append(...children);
    return made;
  }

  /** Leaves what is the same alone, so that a selection in the page lasts. */
  function setText(of, value) {
    const text = String(value);
    if (of.textContent !== text) of.textContent = text;
  }

  function setState(of, state) {
    setText(of, state);
    if (of.dataset.state !== state) of.dataset.state = state;
  }

  function announce(text) {
    setText(byId("announcement"), text);
  }

  /** Makes a table whose cells carry the names of their columns, for narrow screens. */
  function makeTable(className, caption, columns) {
    const head = columns.map(([name]) =>
      node("th", { scope: "col", role: "columnheader", text: name })
    );
    const body = node("tbody", { role: "rowgroup" });
    const table = node(
      "table",
      { class: className, role: "table" },
      node("caption", { text: caption }),
      node("thead", { role: "rowgroup" }, node("tr", { role: "row" }, ...head)),
      body,
    );
    const fill = (values) => {
      while (body.rows.length > values.length) body.lastChild.remove();
      values.forEach((value, index) => {
        const row = body.rows[index] ?? body.appendChild(
          node(
            "tr",
            { role: "row" },
            ...columns.map(([name]) =>
              node("td", { role: "cell", "data-label": name }, node("span"))
            ),
          ),
        );
        columns.forEach(([name, textOf], column) => {
          const cell = row.cells[column].firstChild, text = textOf(value);
          if (name === "State") setState(cell, text);
          else setText(cell, text);
        });
      });
    };
    return { table, fill };
  }

  function makeChart() {
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", "0 0 100 32");
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("aria-hidden", "true");
    const area = svg.appendChild(document.createElementNS(SVG, "path"));
    area.setAttribute("class", "area");
    const line = svg.appendChild(document.createElementNS(SVG, "path"));
    line.setAttribute("class", "line");
    return { svg, area, line };
  }

  /** The chart of one number of a service; returns the greatest value in it. */
  function draw({ area, line }, id, { key, least }, nowMs) {
    const all = points.map(({ atMs, services }) => ({ atMs, value: services[id]?.[key] ?? null }));
    const greatest = all.reduce((most, { value }) => Math.max(most, value ?? 0), 0);
    const top = Math.max(greatest, least);
    let path = "", filled = "", isOpen = false, x = 0;
    for (const { atMs, value } of all) {
      if (value === null) {
        if (isOpen) filled += `L${x} 32Z`;
        isOpen = false;
        continue;
      }
      x = (100 - (nowMs - atMs) / windowMs * 100).toFixed(2);
      const y = (31 - value / top * 29).toFixed(2);
      filled += isOpen ? `L${x} ${y}` : `M${x} 32L${x} ${y}`;
      path += `${isOpen ? "L" : "M"}${x} ${y}`;
      isOpen = true;
    }
    if (isOpen) filled += `L${x} 32Z`;
    line.setAttribute("d", path);
    area.setAttribute("d", filled);
    return greatest;
  }

  function makeRow(id) {
    const detailId = `detail-${++detailCount}`;
    const button = node("button", {
      type: "button",
      "aria-expanded": "false",
      "aria-controls": detailId,
      text: id,
    });
    const name = node("th", { scope: "row", role: "rowheader", class: "name" }, button);
    const state = node("span", { class: "state" });
    const cell = (label, className, ...children) =>
      node("td", { role: "cell", class: className, "data-label": label }, ...children);
    const ready = node("span"), others = node("small");
    const charts = CHARTS.map((chart) => ({
      ...chart,
      small: makeChart(),
      number: node("span", { class: "number" }),
    }));
    const restarts = cell("Restarts", "count"), lastExit = cell("Last exit", "exit");
    const row = node(
      "tr",
      { role: "row", class: "service" },
      name,
      cell("State", "stateCell", state),
      cell("Ready", "ready", ready, others),
      ...charts.map(({ name, number, small }) => cell(name, "chart", number, small.svg)),
      restarts,
      lastExit,
    );
    const problem = node("p", { class: "problem" }), facts = node("p", { class: "facts" });
    const processes = makeTable("processes", "Processes", PROCESS_COLUMNS);
    const listeners = makeTable("listeners", "Addresses", LISTENER_COLUMNS);
    const large = charts.map((chart) => {
      const parts = makeChart(), most = node("span");
      const figure = node(
        "figure",
        {},
        node("figcaption", {}, node("b", { text: chart.name }), most),
        parts.svg,
        node("small", {}, node("span", { text: "10 min ago" }), node("span", { text: "now" })),
      );
      return { ...chart, parts, most, figure };
    });
    const detail = node(
      "tr",
      { id: detailId, role: "row", class: "detail", hidden: "" },
      node(
        "td",
        { role: "cell", colspan: String(5 + CHARTS.length) },
        problem,
        node("div", { class: "figures" }, ...large.map(({ figure }) => figure)),
        processes.table,
        listeners.table,
        facts,
      ),
    );
    const made = { row, detail, service: undefined };
    made.redraw = (nowMs) => {
      const { service } = made;
      for (const chart of charts) {
        draw(chart.small, id, chart, nowMs);
        setText(chart.number, known(points.at(-1)?.services[id]?.[chart.key], chart.format));
      }
      if (detail.hidden) return;
      for (const chart of large) {
        const greatest = draw(chart.parts, id, chart, nowMs);
        const text = points.some(({ services }) => services[id]?.[chart.key] != null)
          ? `at most ${chart.format(greatest)}`
          : "not reported";
        setText(chart.most, text);
      }
      setText(problem, service.problem ?? "");
      processes.fill(service.processes);
      listeners.fill(made.listeners);
      setText(facts, factsOf(service));
    };
    made.show = (service, { nowMs, listeners }) => {
      const before = made.service?.state;
      made.service = service;
      made.listeners = listeners.filter(({ services }) => services.includes(id));
      if (before !== undefined && before !== service.state) announce(`${id} is ${service.state}`);
      setState(state, service.state);
      setText(ready, `${service.ready}/${service.wanted}`);
      const more = ["starting", "draining", "standby"].filter((kind) => service[kind] > 0);
      setText(others, more.map((kind) => `${service[kind]} ${kind}`).join(", "));
      setText(restarts, service.restarts);
      const { lastExit: last } = service;
      setText(
        lastExit,
        last === null
          ? ""
          : `${last.reason}, ${formatDuration(Math.max(0, nowMs - last.atMs))} ago`,
      );
      lastExit.classList.toggle("empty", last === null);
      made.redraw(nowMs);
    };
    button.addEventListener("click", () => {
      detail.hidden = !detail.hidden;
      button.setAttribute("aria-expanded", String(!detail.hidden));
      made.redraw(statusAt);
    });
    return made;
  }

  function factsOf({ counters: { starts, ends, drains } }) {
    const reasons = Object.entries(ends).filter(([, count]) => count > 0)
      .map(([reason, count]) => `${count} ${reason}`);
    const texts = [
      starts === 1 ? "1 process started" : `${starts} processes started`,
      reasons.length === 0 ? "no unexpected end" : `ends and replacements: ${reasons.join(", ")}`,
    ];
    if (drains.count > 0) {
      const mean = formatDuration(drains.totalMs / drains.count);
      texts.push(`${plural(drains.count, "drain")} in ${mean} on average, ${drains.killed} killed`);
    }
    return `Counted so far: ${texts.join("; ")}.`;
  }

  function showStatus({ atMs, status, change }) {
    const { state, master, lastReload, counters: { reloads, upgrades } } = status;
    setState(byId("state"), state);
    document.title = `${state} · ${plural(status.services.length, "service")} · zc`;
    setText(
      byId("master"),
      `Master ${master.pid}: ${master.phase} for ${formatDuration(master.uptimeMs)}, ` +
        `generation ${master.generation}, @zc/master ${master.version}, Deno ${master.deno}`,
    );
    const reload = lastReload === null
      ? "No reload yet."
      : `Last reload ${
        formatDuration(Math.max(0, atMs - lastReload.atMs - lastReload.durationMs))
      } ago, after ${formatDuration(lastReload.durationMs)}: ${lastReload.text}.`;
    // A service of an earlier version tells none.
    const begun = change ? `${change}. ` : "";
    setText(
      byId("changes"),
      `${begun}${reload} Reloads: ${reloads.committed} committed, ${reloads.rolledBack} rolled back, ` +
        `${reloads.refused} refused. Upgrades: ${upgrades.completed} completed, ` +
        `${upgrades.failed} failed.`,
    );
    const ids = new Set(status.services.map(({ id }) => id));
    for (const [id, { row, detail }] of rows) {
      if (ids.has(id)) continue;
      row.remove();
      detail.remove();
      rows.delete(id);
    }
    let next = services.firstChild;
    for (const service of status.services) {
      const made = rows.get(service.id) ?? makeRow(service.id);
      rows.set(service.id, made);
      if (next === made.row) {
        next = made.detail.nextSibling;
      } else {
        services.insertBefore(made.row, next);
        made.row.after(made.detail);
      }
      made.show(service, { nowMs: atMs, listeners: status.listeners });
    }
    document.body.classList.add("filled");
  }

  function addPoints(more, nowMs) {
    const all = new Map([...points, ...more].map((point) => [point.atMs, point]));
    // Later points are those of before the time of day was set back.
    points = [...all.values()].filter(({ atMs }) => atMs > nowMs - windowMs && atMs <= nowMs)
      .sort((one, other) => one.atMs - other.atMs);
  }

  function setLost(text) {
    const lost = text !== undefined;
    if (lost) setText(byId("lost"), text);
    setText(byId("live"), lost ? "lost" : "live");
    byId("live").dataset.state = lost ? "failed" : "ready";
    if (lost === isLost) return;
    isLost = lost;
    byId("lost").hidden = !lost;
    document.body.classList.toggle("stale", lost);
    announce(lost ? text : "The connection is back.");
  }

  function listen() {
    source?.close();
    source = new EventSource("events");
    const on = (type, callback) =>
      source.addEventListener(type, ({ data }) => {
        messageAt = Date.now();
        callback(JSON.parse(data));
      });
    on("history", (history) => addPoints(history, history.at(-1)?.atMs ?? 0));
    on("status", (message) => {
      setLost(undefined);
      statusAt = message.atMs;
      if (message.point !== null) addPoints([message.point], message.atMs);
      showStatus(message);
    });
    on("lost", () => setLost("The master does not answer. The numbers below are old."));
    source.addEventListener("error", () => {
      setLost("The connection is lost. The numbers below are old; the page tries again.");
      // A browser gives up by itself after any response that is no stream.
      if (source.readyState === EventSource.CLOSED) setTimeout(listen, RETRY_MS);
    });
  }

  setInterval(() => {
    if (document.hidden || messageAt === 0 || Date.now() - messageAt < silenceMs) return;
    setLost("Nothing has come for a while. The numbers below are old; the page tries again.");
    messageAt = Date.now();
    listen();
  }, RETRY_MS);
  // A page that nobody sees asks for nothing.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) source.close();
    else listen();
  });
  listen();
}

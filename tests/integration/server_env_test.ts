/** The environment of servers: `server-env`, `server-env-file`, and what names them for OpenTelemetry. */
import { assert, assertEquals } from "@std/assert";
import { greeted } from "../support/client.ts";
import { zcHere } from "../support/commands.ts";
import { Site } from "../support/master.ts";
import { eventually } from "../support/wait.ts";

const PYTHON = new URL("../peers/activated.py", import.meta.url).pathname;

/** The variables of a process at its start; none if it has ended. */
function variablesOf(pid: number): Record<string, string> {
  let environ: string;
  try {
    environ = Deno.readTextFileSync(`/proc/${pid}/environ`);
  } catch {
    return {};
  }
  const texts = environ.split("\0");
  return Object.fromEntries(texts.map((text) => text.split(/=(.*)/s, 2)));
}

Deno.test("server-env and server-env-file reach programs of each kind, and nothing shows them", async () => {
  await using site = new Site();
  const file = site.dir.write("all.env", "B='secret file'\nC=secret-c\nexport D=secret-d\n");
  site.write("all.gcf", { "server-env-file": file, "server-reload": "changed" });
  const own = "C='secret own'\nserver-env = D={pid}";
  const port = site.port();
  site.serve("a.cf", {
    mode: "aio",
    service: port,
    "server-env": own,
    "server-standby-count": 1,
  });
  site.write("b.cf", {
    "server-command": site.server("confined"),
    "server-service": site.socket("b"),
    "server-permissions": "none",
    "server-env": own,
  });
  site.write("c.cf", {
    "server-command": `/usr/bin/env python3 ${PYTHON}`,
    "server-service": `127.0.0.1:${site.port()}`,
    "server-protocol": "systemd",
    "server-env": own,
  });
  const program = site.dir.write("d.sh", "#!/bin/sh\nexec sleep 100\n");
  Deno.chmodSync(program, 0o755);
  site.write("d.cf", {
    "server-command": program,
    "server-service": `127.0.0.1:${site.port()}`,
    "server-protocol": "libzc",
    "server-env": own,
  });
  const master = await site.start({
    env: { A: "of the master", B: "of the master", C: "of the master" },
    args: ["-master-stop-timeout", "1"],
  });
  // The server and the standby of a.cf, b.cf, the shim of c.cf with its server, d.cf. Each is looked at once:
  // a program that only tells the master something about a service may end at any time.
  const servers = await eventually(
    () => {
      const found = [...site.processes()]
        .filter(({ pid }) => pid !== master.pid)
        .map(({ pid }) => variablesOf(pid))
        .filter(({ C }) => C === "secret own");
      return found.length >= 5 ? found : undefined;
    },
    { what: "five processes with their variables" },
  );
  for (const { A, B, C, D } of servers) {
    assertEquals([A, B, C, D], ["of the master", "secret file", "secret own", "{pid}"]);
  }
  using client = await greeted(port);
  assertEquals(await client.ask("env C"), "secret own");
  assertEquals(await client.ask("setting server-env"), "");
  client.close();

  // A change of the file alone is a change of each service; one of its comments is none.
  site.dir.write("all.env", "# note\nB='secret file'\nC=secret-c\nexport D=secret-d\n");
  master.signal("SIGHUP");
  await master.logs(/4 left alone/);
  site.dir.write("all.env", "B='secret new'\n");
  const commands = ["plan", "status", "check"];
  const shown = await Promise.all(commands.map((command) => zcHere(site, command)));
  assert(shown[0].out.includes("a.cf"), shown[0].out + shown[0].err);
  master.signal("SIGHUP");
  await master.logs(/4 replaced/);
  await eventually(async () => {
    using client = await greeted(port);
    return await client.ask("env B") === "secret new" || undefined;
  }, { what: "a server with the new variable" });
  const words = [...site.processes()].flatMap(({ argv }) => argv);
  const told = [...shown.flatMap(({ out, err }) => [out, err]), ...words];
  await master.stop();
  for (const text of [...told, master.process.stdout, master.log]) {
    assert(!text.includes("secret"), text);
  }
});

interface Attribute {
  readonly key: string;
  readonly value: { readonly stringValue?: string };
}

interface Resource {
  readonly attributes: readonly Attribute[];
}

/** What an OTLP receiver was sent, as far as it is looked at here. */
interface Sent {
  readonly resourceSpans?: readonly {
    readonly resource: Resource;
    readonly scopeSpans: readonly { readonly spans: readonly { readonly name: string }[] }[];
  }[];
  readonly resourceLogs?: readonly {
    readonly resource: Resource;
    readonly scopeLogs: readonly {
      readonly logRecords: readonly { readonly body: { readonly stringValue: string } }[];
    }[];
  }[];
}

function named({ attributes }: Resource): Record<string, string | undefined> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, value.stringValue]));
}

Deno.test("a receiver of OpenTelemetry gets traces and log lines, named by service and generation", async () => {
  const sent: Sent[] = [];
  await using receiver = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    async (request) => {
      sent.push(await request.json());
      return Response.json({});
    },
  );
  await using site = new Site();
  const port = site.port();
  site.write("web.cf", {
    "server-command": site.server("confined"),
    "server-service": `http://127.0.0.1:${port}`,
    "server-env": [
      "OTEL_DENO=true OTEL_EXPORTER_OTLP_PROTOCOL=http/json OTEL_RESOURCE_ATTRIBUTES=team=web",
      `OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:${receiver.addr.port}`,
      "OTEL_BSP_SCHEDULE_DELAY=100 OTEL_BLRP_SCHEDULE_DELAY=100",
    ].join(" "),
  });
  const master = await site.start();
  await (await fetch(`http://127.0.0.1:${port}/`)).text();
  await master.logs(/completed \//);
  await master.stop();
  const spans = sent.flatMap(({ resourceSpans = [] }) => resourceSpans);
  const logs = sent.flatMap(({ resourceLogs = [] }) => resourceLogs);
  const names = spans.flatMap(({ scopeSpans }) => scopeSpans).flatMap(({ spans }) => spans);
  assert(names.some(({ name }) => name.startsWith("GET")), JSON.stringify(names));
  const lines = logs.flatMap(({ scopeLogs }) => scopeLogs).flatMap(({ logRecords }) => logRecords);
  const texts = lines.map(({ body }) => body.stringValue);
  assert(texts.some((text) => text.startsWith("completed /")), JSON.stringify(texts));
  for (const { resource } of [...spans, ...logs]) {
    const { "service.name": name, team, ...own } = named(resource);
    assertEquals([name, team], ["web", "web"]);
    const place = ["zc.service", "zc.generation", "zc.slot"].map((attribute) => own[attribute]);
    assertEquals(place, ["web.cf", "1", "0"]);
  }
  // Each exported line was written to the log as well.
  for (const text of texts) assert(master.log.includes(text.trim()), text);
});

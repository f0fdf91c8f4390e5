/** The image of deploy/Dockerfile, built without an engine, and started as the manifests start it. */
import { assert, assertEquals, assertGreaterOrEqual, assertMatch } from "@std/assert";
import { HttpClient } from "../server/http_client.ts";
import { statusLine } from "../support/credentials.ts";
import { leaveOut } from "../support/left_out.ts";
import { Site } from "../support/master.ts";
import { TempDir } from "../support/temp.ts";
import { type Container, noContainer, startContainer } from "./container.ts";
import { DEPLOY, deployFiles, manifestOf } from "./deploy_files.ts";
import { buildImage, type Image, pullDebian, pullDeno } from "./image.ts";
import { fetchPackages, inMidRequest, makeProject, setService } from "./project.ts";

/** How long a server finishes what is under way. */
const SERVER_STOP_MS = 30_000;

let image: Promise<Image> | undefined;

/** The image, built once for all tests of this file. */
function theImage(): Promise<Image> {
  return image ??= build();
}

async function build(): Promise<Image> {
  await using site = new Site();
  const { dockerfile } = await deployFiles();
  const dir = new TempDir(), context = dir.file("project");
  globalThis.addEventListener("unload", () => dir[Symbol.dispose]());
  await makeProject(context);
  // It must not get into the image.
  dir.write("project/.env", "SECRET=1\n");
  return await buildImage(site, {
    dir,
    instructions: dockerfile,
    context,
    ignored: Deno.readTextFileSync(`${DEPLOY}Dockerfile.dockerignore`).trim().split("\n"),
    pull: (name, root) => name.startsWith("debian:") ? pullDebian(root) : pullDeno(root),
    fetch: (root) => fetchPackages(`${root}/deno-dir`),
  });
}

/** The directories in memory, as each manifest has them. */
const MEMORY: Readonly<Record<string, () => Promise<string[]>>> = {
  async "compose.yaml"() {
    const { compose: { services } } = await deployFiles();
    assert(services.web.read_only);
    return [...services.web.tmpfs];
  },
  async "kubernetes/deployment.yaml"() {
    const { spec } = manifestOf(await deployFiles(), "Deployment").spec.template;
    const [{ volumeMounts, securityContext }] = spec.containers;
    assert(securityContext.readOnlyRootFilesystem);
    // As kubelet makes an emptyDir.
    const options = `mode=2777,gid=${spec.securityContext.fsGroup}`;
    return volumeMounts.map(({ mountPath }: { mountPath: string }) => `${mountPath}:${options}`);
  },
};

/** Starts the image at a port, and waits until its service is ready. */
async function start(
  site: Site,
  { port, settings = "", memory = "compose.yaml" }: {
    readonly port: number;
    /** Of the master and of all services. */
    readonly settings?: string;
    readonly memory?: string;
  },
): Promise<{ readonly container: Container; readonly first: number }> {
  const image = await theImage();
  // The step that docs/deploy.md names, with a port that is free here.
  setService(`${image.root}/app`, `web://0.0.0.0:${port}`);
  Deno.writeTextFileSync(`${image.root}/app/conf/all.gcf`, settings);
  const container = startContainer(site, image, { tmpfs: await MEMORY[memory]() });
  await container.process.complains(/all services are ready/);
  return { container, first: await container.first() };
}

function testInContainer(name: string, test: (site: Site, port: number) => Promise<void>): void {
  Deno.test(name, async (t) => {
    const problem = await noContainer();
    if (problem !== undefined) return leaveOut(t, problem);
    await using site = new Site();
    await test(site, site.port());
  });
}

for (const memory of Object.keys(MEMORY)) {
  testInContainer(
    `the image runs as an ordinary user with a read-only root, and stops in order: ${memory}`,
    async (site, port) => {
      const image = await theImage(), probes = site.port();
      const settings = `metrics = 0.0.0.0:${probes}\n`;
      const { container, first } = await start(site, { port, memory, settings });
      // The master is process 1 of the container, without any privilege.
      assertEquals(statusLine(first, "NSpid").split(" ").at(-1), "1");
      assertEquals(statusLine(first, "Uid").split(" ")[0], String(Deno.uid() || 65532));
      assertEquals([statusLine(first, "CapEff"), statusLine(first, "NoNewPrivs")], [
        "0".repeat(16),
        "1",
      ]);
      assertMatch(Deno.readTextFileSync(`/proc/${first}/mountinfo`), / \/ ro,/);
      const names = [...Deno.readDirSync(`${image.root}/app`)].map(({ name }) => name);
      assert(
        !names.includes(".env") && names.includes("conf"),
        "what .dockerignore names is in it",
      );

      for (const path of ["live", "ready"]) {
        assertEquals((await fetch(`http://127.0.0.1:${probes}/${path}`)).status, 200, path);
      }

      using idle = await HttpClient.connect(port);
      assertEquals((await idle.get("/")).body, "hello");
      using busy = await inMidRequest(port);
      Deno.kill(first, image.stopSignal as Deno.Signal);
      await container.process.complains(/stopping; servers have 35 s/);
      await busy.send("def");
      assertEquals((await busy.answer()).body, "abcdef");
      await busy.ended();
      await idle.ended();
      const { code, stderr } = await container.process.ended();
      assertEquals(code, 0, stderr);
      await site.isGone();
    },
  );
}

testInContainer(
  "the health check of the image asks the master of the container",
  async (site, port) => {
    const image = await theImage();
    const { container, first } = await start(site, { port });
    const inside = ["nsenter", "-t", String(first), "-m", "-p", `-r`];
    const namespaces = Deno.uid() === 0 ? inside : [...inside, "-U", "--preserve-credentials"];
    const variables = Object.entries(image.env).map(([key, value]) => `${key}=${value}`);
    const check = () =>
      site.execute([
        ...namespaces,
        ...["env", "-i", "-C", image.workdir, ...variables, ...image.healthcheck],
      ]);
    assertMatch(await check().succeeds(), /web\.cf +ready/);
    Deno.kill(first, "SIGTERM");
    assertEquals((await container.process.ended()).code, 0);
    await site.isGone();
  },
);

testInContainer(
  "a runtime that kills before the master's time is over cuts only what is under way",
  async (site, port) => {
    const { container, first } = await start(site, { port });
    using busy = await inMidRequest(port), lost = await inMidRequest(port);
    Deno.kill(first, "SIGTERM");
    await container.process.complains(/stopping; servers have 35 s/);
    await busy.send("def");
    assertEquals((await busy.answer()).body, "abcdef");
    Deno.kill(first, "SIGKILL");
    await container.process.ended();
    assertEquals(await lost.rest().catch(() => []), []);
    // Nothing outlives process 1 of its namespace.
    await site.isGone();
  },
);

testInContainer(
  "a server ends by itself when its 30 s are over, and the master with it",
  async (site, port) => {
    const { container, first } = await start(site, { port });
    using lost = await inMidRequest(port);
    const startMs = performance.now();
    Deno.kill(first, "SIGTERM");
    const { code, stderr } = await container.process.ended(3 * SERVER_STOP_MS);
    assertEquals(code, 0, stderr);
    // In the last second a server ends its connections in order, and ends with the last one.
    assertGreaterOrEqual(performance.now() - startMs, SERVER_STOP_MS - 1_000);
    // The master, which has 35 s, has not had to do it.
    assert(!stderr.includes("is killed"), stderr);
    const answer = new TextDecoder().decode(new Uint8Array(await lost.rest().catch(() => [])));
    assert(!answer.includes("200 OK"), answer);
    await site.isGone();
  },
);

testInContainer(
  "the master ends by itself when its time is over, and cuts what is under way then",
  async (site, port) => {
    const { container, first } = await start(site, { port, settings: "master-stop-timeout = 1\n" });
    using lost = await inMidRequest(port);
    Deno.kill(first, "SIGTERM");
    const { code, stderr } = await container.process.ended();
    assertEquals(code, 0, stderr);
    assertMatch(stderr, /is killed/);
    assertEquals(await lost.rest().catch(() => []), []);
    await site.isGone();
  },
);

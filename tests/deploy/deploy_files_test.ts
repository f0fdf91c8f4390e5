/** The files in deploy/, against the schemas of others and against each other. */
import { assertEquals, assertGreater, assertStringIncludes } from "@std/assert";
import { MASTER_STOP_TIMEOUT } from "../../src/config/settings.ts";
import { TempDir } from "../support/temp.ts";
import { DEPLOY, deployFiles, manifestOf, readFiles } from "./deploy_files.ts";

/** How much longer each environment waits than the master does, in seconds. */
const MARGIN_S = 5;
const stopTimeoutS = parseInt(MASTER_STOP_TIMEOUT.fallback!);

/** The value of a key in a unit file. */
function inUnit(key: string): string {
  const unit = Deno.readTextFileSync(`${DEPLOY}systemd/zc-master.service`);
  return new RegExp(`^${key}=(.*)$`, "m").exec(unit)![1];
}

Deno.test("the Dockerfile, the compose file and the manifests have no mistake", async () => {
  assertEquals((await deployFiles()).problems, []);
});

Deno.test("a mistake in any of these files is found", async () => {
  using dir = new TempDir();
  new Deno.Command("cp", { args: ["-r", DEPLOY, dir.file("deploy")] }).outputSync();
  const change = (name: string, from: string, to: string) => {
    const text = Deno.readTextFileSync(dir.file(`deploy/${name}`));
    assertStringIncludes(text, from);
    dir.write(`deploy/${name}`, text.replace(from, to));
  };
  change("Dockerfile", "WORKDIR", "WORKDIRE");
  change("compose.yaml", "stop_grace_period", "stop_grace_time");
  change("kubernetes/deployment.yaml", "medium:", "mediums:");
  change("kubernetes/service.yaml", "port: 80", "port: eighty");
  const { problems } = await readFiles(dir.file("deploy/"));
  for (const name of ["Dockerfile", "compose.yaml", "kubernetes/service.yaml"]) {
    assertGreater(problems.filter((problem) => problem.startsWith(name)).length, 0, name);
  }
  assertStringIncludes(problems.join("\n"), "mediums");
});

Deno.test("each environment waits longer for the end of a master than the master for its servers", async () => {
  const { compose, manifests } = await deployFiles();
  assertEquals(Number(inUnit("TimeoutStopSec")), stopTimeoutS + MARGIN_S);
  assertEquals(compose.services.web.stop_grace_period, `${stopTimeoutS + MARGIN_S}s`);
  const { spec } = manifestOf({ manifests }, "Deployment").spec.template;
  const preStopS = spec.containers[0].lifecycle.preStop.sleep.seconds;
  assertEquals(spec.terminationGracePeriodSeconds, preStopS + stopTimeoutS + MARGIN_S);
});

Deno.test("the manifests name each other's labels, ports and user", async () => {
  const { dockerfile, manifests } = await deployFiles();
  const of = (kind: string) => manifestOf({ manifests }, kind);
  const { selector, template } = of("Deployment").spec;
  const { containers: [container], securityContext } = template.spec;
  assertEquals(selector.matchLabels, template.metadata.labels);
  assertEquals(of("Service").spec.selector, selector.matchLabels);
  assertEquals(of("PodDisruptionBudget").spec.selector, selector);
  assertEquals(
    of("HorizontalPodAutoscaler").spec.scaleTargetRef.name,
    of("Deployment").metadata.name,
  );
  const names = container.ports.map(({ name }: { name: string }) => name);
  for (const probe of ["startupProbe", "readinessProbe", "livenessProbe"]) {
    assertEquals(names.includes(container[probe].httpGet.port), true, probe);
  }
  const instruction = (keyword: string) =>
    dockerfile.find((each) => each.keyword === keyword)!.args;
  assertEquals(String(container.ports[0].containerPort), instruction("EXPOSE"));
  const { runAsUser, runAsGroup } = securityContext;
  assertEquals(`${runAsUser}:${runAsGroup}`, instruction("USER"));
});

Deno.test("the Dockerfile takes the version of Deno that the tests run with", async () => {
  const { dockerfile } = await deployFiles();
  const runs = /deno@(\S+) task test/.exec(Deno.readTextFileSync(`${DEPLOY}../.ci/run`))![1];
  assertEquals(dockerfile[0].args, `denoland/deno:bin-${runs} AS deno`);
});

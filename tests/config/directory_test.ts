/** Tests of a whole directory of settings files. */

import { assert, assertEquals } from "@std/assert";
import { settingOrigin } from "../../src/config/config.ts";
import { loadConfigDirectory, readGlobalSettings } from "../../src/config/directory.ts";
import { formatProblem, type Problem } from "../../src/config/errors.ts";
import { withFiles } from "./temp_files.ts";

const cwd = "/srv";

/** The text of a service on a port. */
function service(port: number): string {
  return `server-command = x\nserver-service = 0:${port}\n`;
}

/** The lines of problems or warnings, with `DIR` for the directory. */
function told(dir: string, problems: readonly Parameters<typeof formatProblem>[0][]): string[] {
  return problems.map((problem) => formatProblem(problem).replaceAll(dir, "DIR"));
}

Deno.test("loadConfigDirectory() takes *.cf as services and *.gcf as shared, sorted by name", () =>
  withFiles({
    "b.cf": service(2),
    "a.CF": service(1),
    "A.Cf": service(3),
    "z.gcf": "x = z\n",
    "y.GCF": "x = y\nserver-protocol = libzc\n",
    ".hidden.cf": "server-service = 0:0\n",
    ".cf": "server-service = 0:0\n",
    "cf": "server-service = 0:0\n",
    "c.cf~": "server-service = 0:0\n",
    "c.conf": "server-service = 0:0\n",
    "c.cf.bak": "server-service = 0:0\n",
  }, (dir) => {
    Deno.mkdirSync(`${dir}/sub`);
    Deno.writeTextFileSync(`${dir}/sub/d.cf`, "server-service = 0:0\n");
    const { services, globals, problems, warnings } = loadConfigDirectory(dir, { cwd });
    assertEquals(told(dir, [...problems, ...warnings]), []);
    assertEquals(services.map(({ id, file }) => [id, file]), [
      ["A.Cf", `${dir}/A.Cf`],
      ["a.CF", `${dir}/a.CF`],
      ["b.cf", `${dir}/b.cf`],
    ]);
    assertEquals(services.map(({ protocol }) => protocol), ["libzc", "libzc", "libzc"]);
    assertEquals(globals.map(({ key, value, line }) => [key, value, line]), [
      ["x", "y", 1],
      ["server-protocol", "libzc", 2],
      ["x", "z", 1],
    ]);
  }));

Deno.test("loadConfigDirectory() gives file names that begin with the directory as given", () =>
  withFiles({ "a.cf": service(1) }, (dir) => {
    const { services } = loadConfigDirectory(`${dir}/`, { cwd });
    assertEquals(services.map(({ file }) => file), [`${dir}/a.cf`]);
  }));

Deno.test("loadConfigDirectory() follows links to files, and passes over all that is no file", () =>
  withFiles({ "real.txt": service(1) }, (dir) => {
    Deno.symlinkSync("real.txt", `${dir}/link.cf`);
    Deno.mkdirSync(`${dir}/dir.cf`);
    Deno.symlinkSync("dir.cf", `${dir}/dirlink.cf`);
    Deno.symlinkSync("/dev/zero", `${dir}/device.cf`);
    Deno.symlinkSync("gone", `${dir}/dead.cf`);
    const { services, problems, warnings } = loadConfigDirectory(dir, { cwd });
    assertEquals(services.map(({ id }) => id), ["link.cf"]);
    assertEquals(told(dir, problems), [
      'DIR/dead.cf: Cannot read settings file "DIR/dead.cf": ' +
      "a link that leads nowhere, expected a regular file that may be read",
    ]);
    assertEquals(
      told(dir, warnings).sort(),
      ["device", "dir", "dirlink"].map((name) =>
        `DIR/${name}.cf: Cannot read settings file "DIR/${name}.cf": ` +
        "not a file, so it is passed over, expected a regular file"
      ),
    );
  }));

Deno.test("loadConfigDirectory() tells a directory that isn't there, or is a file, once", () =>
  withFiles({ "a.cf": "", "all.gcf": "", "s.ini": "", text: "" }, (dir) => {
    const readable = "a directory that may be read", file = "not a directory";
    const reasons = {
      gone: ["no such file or directory", readable],
      "gone.cf": ["no such file or directory", readable],
      text: [file, readable],
      "a.cf": [file, "its directory DIR"],
      "all.gcf": [file, "its directory DIR"],
      "s.ini": [file, "-config DIR/s.ini"],
    };
    for (const [name, [reason, expected]] of Object.entries(reasons)) {
      const { problems } = loadConfigDirectory(`${dir}/${name}`, { cwd });
      assertEquals(told(dir, problems), [
        `DIR/${name}: Cannot read settings directory "DIR/${name}": ` +
        `${reason}, expected ${expected}`,
      ]);
    }
  }));

const NEITHER = {
  "blank.cf": " \n\r\n",
  "comments.cf": "# server-command = x\n#\n",
  "empty.cf": "",
  "other.cf": "a = b\n",
};

Deno.test("loadConfigDirectory() passes over a file that is empty, commented out or no service", () =>
  withFiles(NEITHER, (dir) => {
    const { services, problems, warnings } = loadConfigDirectory(dir, { cwd });
    const wanted = "expected server-command and server-service";
    assertEquals([services, problems], [[], []]);
    assert(warnings.every(({ severity }) => severity === "warning"));
    assertEquals(told(dir, warnings), [
      'DIR/blank.cf: Cannot use as a service "blank.cf": ' +
      `no setting in it, so it is passed over, ${wanted}`,
      'DIR/comments.cf: Cannot use as a service "comments.cf": ' +
      "only comments in it, so it is passed over, expected settings",
      'DIR/empty.cf: Cannot use as a service "empty.cf": ' +
      `no setting in it, so it is passed over, ${wanted}`,
      'DIR/other.cf: Cannot use as a service "other.cf": ' +
      `no server-service, so it is passed over, ${wanted}`,
    ]);
  }));

Deno.test("loadConfigDirectory() refuses such a file, and what is no file, where its service serves", () =>
  withFiles(NEITHER, (dir) => {
    Deno.mkdirSync(`${dir}/dir.cf`);
    const serving = new Set([...Object.keys(NEITHER), "dir.cf"]);
    const { services, problems, warnings } = loadConfigDirectory(dir, { cwd, serving });
    const wanted = "but it serves now, expected server-command and server-service, or no such file";
    assertEquals([services, warnings], [[], []]);
    assertEquals(told(dir, problems), [
      'DIR/dir.cf: Cannot read settings file "DIR/dir.cf": ' +
      "not a file, but dir.cf serves now, expected a regular file",
      `DIR/blank.cf: Cannot use as a service "blank.cf": no setting in it, ${wanted}`,
      'DIR/comments.cf: Cannot use as a service "comments.cf": ' +
      "only comments in it, but it serves now, expected settings, or no such file",
      `DIR/empty.cf: Cannot use as a service "empty.cf": no setting in it, ${wanted}`,
      `DIR/other.cf: Cannot use as a service "other.cf": no server-service, ${wanted}`,
    ]);
  }));

Deno.test("loadConfigDirectory() names a byte order mark that hides a setting, once", () =>
  withFiles({
    "a.cf": `\ufeffserver-command = x\nserver-service = 0:1\n`,
    "b.cf": `\ufeff# remark\n${service(2)}`,
    "c.cf": `\ufeffown = 1\n${service(3)}`,
  }, (dir) => {
    const { services, problems, warnings } = loadConfigDirectory(dir, { cwd });
    assertEquals(services.map(({ id }) => id), ["b.cf", "c.cf"]);
    assertEquals(told(dir, problems), [
      'DIR/a.cf:1: server-command: Cannot use as a service "a.cf": no server-command, ' +
      "since a byte order mark (BOM) stands before it, expected server-command and server-service",
    ]);
    assertEquals(told(dir, warnings), [
      'DIR/b.cf:1: # remark: Cannot read "# remark": a byte order mark (BOM) before it, ' +
      "which hides it, expected a file without one",
      'DIR/c.cf:1: own: Cannot read "own": a byte order mark (BOM) before it, ' +
      "which hides it, expected a file without one",
    ]);
  }));

Deno.test("loadConfigDirectory() tells a slip once, be it a problem or a warning", () =>
  withFiles({
    "a.cf": "server-command = x\nserver-servce = 0:1\nserver-proc-cuont = 4\n",
    "z.gcf": "server-proc-count = 4\n",
  }, (dir) => {
    const { problems, warnings } = loadConfigDirectory(dir, { cwd });
    assertEquals(told(dir, problems), [
      'DIR/a.cf:2: server-servce: Cannot use as a service "a.cf": ' +
      'no server-service, but "server-servce", expected server-command and server-service',
    ]);
    assertEquals(told(dir, warnings), [
      'DIR/z.gcf:1: server-proc-count: Cannot use "server-proc-count": ' +
      "a setting of one service in a file for all, expected it in the .cf of each service",
      'DIR/a.cf:3: server-proc-cuont: Cannot find setting "server-proc-cuont": no setting has ' +
      "this name, so it can only be a server's own, expected server-proc-count",
    ]);
  }));

Deno.test("loadConfigDirectory() tells every problem of every file", () =>
  withFiles({
    "a.cf": "server-service = 0:143\nserver-proc-count = -1\n",
    "b.cf": service(143),
    "c.cf": "server-command = x\nserver-service = 0:0\n",
    "g.gcf": "\nserver-protocol = none\nserver-log = paper\nmaster-stop-timeout = soon\n",
  }, (dir) => {
    const { services, problems } = loadConfigDirectory(dir, { cwd });
    assertEquals(services.map(({ id }) => id), ["b.cf"]);
    assertEquals(told(dir, problems), [
      'DIR/g.gcf:3: server-log: Cannot read "paper": none of the forms, ' +
      "expected syslog,FACILITY[,IDENT] or masterlog,SOCKET or stdout",
      'DIR/g.gcf:2: server-protocol: Cannot read "none": an unknown word, ' +
      "expected one of auto, control, deno, inherit, libzc, systemd",
      'DIR/g.gcf:4: master-stop-timeout: Cannot read "soon": not a number with a unit, ' +
      "expected a time such as 90, 90s, 5m, 2h, 1d or 1w",
      'DIR/a.cf: server-command: Cannot use as a service "a.cf": no server-command, ' +
      "expected server-command and server-service",
      'DIR/a.cf:2: server-proc-count: Cannot read "-1": below 0, ' +
      "expected a whole number from 0 to 10000",
      'DIR/c.cf:2: server-service: Cannot listen on "0:0": a port out of range, ' +
      "expected a port from 1 to 65535",
      'DIR/b.cf:2: server-service: Cannot listen on "0:143": ' +
      'already named in DIR/a.cf:1 as "0:143", expected each address once',
    ]);
  }));

Deno.test("loadConfigDirectory() finds nothing in an empty directory", () =>
  withFiles({}, (dir) => {
    assertEquals(loadConfigDirectory(dir, { cwd }), {
      services: [],
      globals: [],
      problems: [],
      warnings: [],
    });
  }));

Deno.test("readGlobalSettings() reads the *.gcf only, a later name winning", () =>
  withFiles({ "b.gcf": "x = b\n", "a.gcf": "x = a\ny = a\n", "c.cf": "x = c\n" }, (dir) => {
    const problems: Problem[] = [];
    const config = readGlobalSettings(dir, { problems });
    assertEquals(problems, []);
    assertEquals([...config], [["x", "b"], ["y", "a"]]);
    assertEquals(settingOrigin(config, "x"), { file: `${dir}/b.gcf`, line: 1 });
  }));

Deno.test("readGlobalSettings() names every file that can't be read, and reads the others", () =>
  withFiles({ "b.gcf": "x = b\n" }, (dir) => {
    Deno.symlinkSync("gone", `${dir}/a.gcf`);
    Deno.symlinkSync("gone", `${dir}/c.gcf`);
    const problems: Problem[] = [];
    assertEquals([...readGlobalSettings(dir, { problems })], [["x", "b"]]);
    readGlobalSettings(`${dir}/gone`, { problems });
    assertEquals(problems.map(({ file }) => file), [`${dir}/a.gcf`, `${dir}/c.gcf`, `${dir}/gone`]);
  }));

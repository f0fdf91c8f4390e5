/**
 * The mail system of the examples, run by its own start program with its own settings files, but for the
 * ports.
 *
 * @module
 */
import { assertMatch } from "@std/assert";
import { existsSync } from "@std/fs/exists";
import { DEMO_USERS } from "../../examples/mail/setup.ts";
import { Client } from "./client.ts";
import { example, Site } from "./master.ts";
import type { TestProcess } from "./processes.ts";
import { TEST_CERT, TEST_KEY } from "./tls.ts";
import { eventually } from "./wait.ts";

const ROOT = new URL("../..", import.meta.url).pathname;
const CONF = `${ROOT}examples/mail/conf`;

/** The ports in the settings files, each by the name of its service. */
const PORTS = { smtp: 2525, smtps: 2465, imap: 2143, imaps: 2993, pop3: 2110 };

/** Settings to be added to the files, by the names of the files. */
export type MoreSettings = Readonly<Record<string, string>>;

/** A running mail system with the users alice and bob. Declare it with `await using`. */
export class MailSystem implements AsyncDisposable {
  /** Its directory, processes and ports. */
  readonly site: Site;
  /** The ports, by the names of the services. */
  readonly ports: Readonly<Record<keyof typeof PORTS, number>>;
  /** The file of the certificate, to be trusted by clients. */
  readonly certFile: string;
  readonly #master: TestProcess;
  #log = "";
  readonly #logBytes = new Map<string, number>();
  readonly #decoder = new TextDecoder();

  private constructor(site: Site, more: MoreSettings) {
    this.site = site;
    const ports = Object.entries(PORTS).map(([name]) => [name, site.port()] as const);
    this.ports = Object.fromEntries(ports) as Record<keyof typeof PORTS, number>;
    for (const { name } of Deno.readDirSync(CONF)) {
      let text = Deno.readTextFileSync(`${CONF}/${name}`).replaceAll("examples/", example(""));
      for (const [service, port] of ports) {
        text = text.replaceAll(`:${PORTS[service as keyof typeof PORTS]}`, `:${port}`);
      }
      site.dir.write(`conf/${name}`, `${text}\n${more[name] ?? ""}\n`);
    }
    Deno.mkdirSync(site.dir.file("mail-data/tls"), { recursive: true });
    this.certFile = site.dir.write("mail-data/tls/mail.crt", TEST_CERT);
    site.dir.write("mail-data/tls/mail.key", TEST_KEY);
    this.#master = site.run(["--conf", "conf"], { program: example("mail/start.ts") });
  }

  /**
   * Starts it, and waits until all services are ready.
   *
   * @param more Further settings.
   */
  static async start(more: MoreSettings = {}): Promise<MailSystem> {
    const system = new MailSystem(new Site(), more);
    try {
      await system.logs(/all services are ready/);
      return system;
    } catch (error) {
      const { stdout, stderr } = system.#master;
      await system[Symbol.asyncDispose]();
      throw new Error(`${(error as Error).message}\n${stdout}${stderr}`, { cause: error });
    }
  }

  /** Adds a setting to the file of a service, for the next reload. */
  append(service: string, setting: string): void {
    const path = this.site.dir.file(`conf/${service}.cf`);
    Deno.writeTextFileSync(path, `${setting}\n`, { append: true });
  }

  /** The password of a user. */
  password(user: string): string {
    return DEMO_USERS[user];
  }

  /** What the log service has written. */
  get log(): string {
    const folder = this.site.dir.file("mail-data/log");
    for (const { name, isFile } of existsSync(folder) ? Deno.readDirSync(folder) : []) {
      if (!isFile || !name.endsWith(".log")) continue;
      // A log grows, and is asked for again and again.
      using file = Deno.openSync(`${folder}/${name}`);
      file.seekSync(this.#logBytes.get(name) ?? 0, Deno.SeekMode.Start);
      const room = new Uint8Array(65_536);
      for (let count; (count = file.readSync(room)) !== null;) {
        this.#logBytes.set(name, (this.#logBytes.get(name) ?? 0) + count);
        this.#log += this.#decoder.decode(room.subarray(0, count), { stream: true });
      }
    }
    return this.#log;
  }

  /**
   * Waits for a line of the log.
   *
   * @param pattern What is in it.
   * @param count How many such lines there must be.
   */
  async logs(pattern: RegExp, count = 1): Promise<void> {
    const all = new RegExp(pattern, "g");
    try {
      let seen = -1;
      await eventually(() => {
        const { log } = this;
        if (log.length === seen) return false;
        seen = log.length;
        return [...log.matchAll(all)].length >= count;
      }, { what: `${pattern} in the log ${count} times`, withinMs: 60_000 });
    } catch (cause) {
      throw new Error(`${(cause as Error).message}\n${this.log}`, { cause });
    }
  }

  /** Reloads it, and waits until the new processes serve. */
  async reload(): Promise<void> {
    const before = [...this.log.matchAll(/\] reloaded/g)].length;
    this.#master.signal("SIGHUP");
    await this.logs(/\] reloaded/, before + 1);
  }

  /** The processes of a service. */
  processes(service: "smtpd" | "imapd" | "pop3d"): number[] {
    return this.site.processes().filter(({ argv }) => argv.includes(`conf/${service}.cf`))
      .map(({ pid }) => pid);
  }

  /** The directory of a user. */
  inbox(user: string): string {
    return this.site.dir.file(`mail-data/spool/${user}`);
  }

  /**
   * Sends a message to a user.
   *
   * @param user The user.
   * @param message All of the message.
   */
  async sends(user: string, message: string): Promise<void> {
    using client = await Client.connect(this.ports.smtp);
    await client.write(
      `HELO test\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<${user}@localhost>\r\nDATA\r\n` +
        `${message.replaceAll(/^\./gm, "..")}.\r\nQUIT\r\n`,
    );
    const answers: string[] = [];
    for (let i = 0; i < 7; i++) answers.push(await client.line());
    assertMatch(answers[5], /^250 /);
  }

  /** The messages in a folder: the texts of all files, by their names. */
  messages(user: string, folder = ""): Map<string, string> {
    const found = new Map<string, string>();
    for (const part of ["new", "cur"]) {
      const directory = `${this.inbox(user)}${folder}/${part}`;
      for (const { name } of Deno.readDirSync(directory)) {
        found.set(name, Deno.readTextFileSync(`${directory}/${name}`));
      }
    }
    return found;
  }

  /** Stops it, and fails unless it ends in good order. */
  async stop(): Promise<void> {
    this.#master.signal("SIGTERM");
    const { code, stderr } = await this.#master.ended(60_000);
    if (code !== 0) throw new Error(`the mail system has ended with ${code}: ${stderr}`);
    await this.site.isGone();
  }

  /** Ends and removes it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.site[Symbol.asyncDispose]();
  }
}

/**
 * The programs that nobody here wrote, which tests run unchanged and docs/programs.md lists: each is in a folder of
 * its own, as its documentation shows it.
 *
 * @module
 */

/** Where the programs are. */
export const PROGRAMS_FOLDER: string = new URL("../interop/programs", import.meta.url).pathname;

/** What a client of a program does. */
export type ClientKind = "http" | "ws" | "socket.io" | "smtp";

/** A program. */
export interface Program {
  /** Its folder, which is the name of its service as well. */
  readonly folder: string;
  /** What it is called. */
  readonly title: string;
  /** The package that it is about. */
  readonly package: string;
  /** How it is started, as `server-command`. */
  readonly command: string;
  /** Whether `server-protocol = deno` has to say that it knows nothing of its master. */
  readonly isTold?: boolean;
  readonly kind: ClientKind;
  /** What an HTTP client asks for; default `/`. */
  readonly path?: string;
  /** What is in each answer. */
  readonly answer?: string;
  /** Whether it is built before. */
  readonly isBuilt?: boolean;
  /** What it needs, for the table. */
  readonly needs?: string;
}

const BUILD = "its build, before the start and before a reload";

/** All of them. */
export const PROGRAMS: readonly Program[] = [
  {
    folder: "hono",
    title: "Hono, `export default app`",
    package: "hono",
    command: "deno task start",
    kind: "http",
    answer: "Hello Hono!",
  },
  {
    folder: "hono_node",
    title: "Hono on node",
    package: "@hono/node-server",
    command: "npm start",
    kind: "http",
    answer: "Hello Node.js!",
    needs: "nothing; its handler of SIGTERM closes the server and exits",
  },
  {
    folder: "express",
    title: "Express",
    package: "express",
    command: "npm start",
    kind: "http",
    answer: "Hello World!",
  },
  {
    folder: "fastify",
    title: "Fastify",
    package: "fastify",
    command: "npm start",
    kind: "http",
    answer: '{"hello":"world"}',
    needs:
      "`return503OnClosing: false`, if it calls `close()` at SIGTERM: else it answers 503 from " +
      "then on",
  },
  {
    folder: "koa",
    title: "Koa",
    package: "koa",
    command: "app.js",
    isTold: true,
    kind: "http",
    answer: "Hello Koa",
  },
  {
    folder: "nestjs",
    title: "NestJS",
    package: "@nestjs/core",
    command: "npm start",
    kind: "http",
    answer: "Hello World!",
    isBuilt: true,
    needs:
      `${BUILD}; \`enableShutdownHooks\` with the names of signals, since Deno has not all of ` +
      "node's",
  },
  {
    folder: "yoga",
    title: "GraphQL Yoga",
    package: "graphql-yoga",
    command: "node server.js",
    isTold: true,
    kind: "http",
    path: "/graphql?query=%7Bhello%7D",
    answer: '{"data":{"hello":"world"}}',
  },
  {
    folder: "trpc",
    title: "tRPC, standalone",
    package: "@trpc/server",
    command: "npm start",
    kind: "http",
    path: "/greeting",
    answer: '{"result":{"data":"hello tRPC"}}',
  },
  {
    folder: "socketio",
    title: "Socket.IO",
    package: "socket.io",
    command: "npm start",
    kind: "socket.io",
    needs: 'clients with `transports: ["websocket"]`, since the requests of long polling reach ' +
      "different processes; one of its adapters, for events to clients of other processes",
  },
  {
    folder: "ws",
    title: "ws",
    package: "ws",
    command: "deno run -A server.js",
    isTold: true,
    kind: "ws",
  },
  {
    folder: "smtp_server",
    title: "smtp-server",
    package: "smtp-server",
    command: "npm start",
    kind: "smtp",
  },
  {
    folder: "vite_ssr",
    title: "Vite, server-side rendering",
    package: "vite",
    command: "npm start",
    kind: "http",
    answer: "<h1>Hello Vite!</h1>",
    isBuilt: true,
    needs: BUILD,
  },
  {
    folder: "sveltekit",
    title: "SvelteKit, adapter-node",
    package: "@sveltejs/kit",
    command: "npm start",
    kind: "http",
    answer: "<h1>Welcome to SvelteKit</h1>",
    isBuilt: true,
    needs: BUILD,
  },
  {
    folder: "astro",
    title: "Astro, node adapter",
    package: "astro",
    command: "npm start",
    kind: "http",
    answer: "<h1>Hello, Astro!</h1>",
    isBuilt: true,
    needs: BUILD,
  },
];

/** What of `package.json` is used here. */
interface Manifest {
  readonly scripts?: Readonly<Record<string, string>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}

function manifestOf({ folder }: Program): Manifest {
  return JSON.parse(Deno.readTextFileSync(`${PROGRAMS_FOLDER}/${folder}/package.json`));
}

/** The version of a program, which its `package.json` names exactly. */
export function versionOf(program: Program): string {
  const { dependencies, devDependencies } = manifestOf(program);
  const version = { ...dependencies, ...devDependencies }[program.package];
  if (version === undefined || !/^\d+\.\d+\.\d+$/.test(version)) {
    throw new TypeError(`Cannot find ${program.package}: ${version}, expected an exact version`);
  }
  return version;
}

/** What the script `start` of a program runs; undefined where its command is no script. */
export function startScriptOf(program: Program): string | undefined {
  return /^(?:npm|deno task) start$/.test(program.command)
    ? manifestOf(program).scripts?.start
    : undefined;
}

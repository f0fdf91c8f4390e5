/**
 * What the servers under load have in common: what they answer, and how a bad version behaves.
 *
 * Settings of a service: `version`, which every answer carries, and `behave`: `crash` ends the
 * process before it serves, `hang` never gets ready, `die` gets ready and ends soon after that. With
 * `half` the process that makes the file of the setting `first` is good, and the others end a while
 * after it has begun to serve.
 *
 * @module
 */
import { defaultConfig, type FdType, type ServerHooks, zinfo } from "../../../src/server/common.ts";

/** How a version can behave. */
export type Behaviour = "good" | "crash" | "hang" | "die" | "half";

/** After how many milliseconds one that dies, though not at once, does so. */
const DIE_AFTER_MS = 300;

/** The exit code of those that die. */
const BAD_EXIT = 3;

/** What a client asks for. */
export interface Asked {
  /** When to answer, in milliseconds. */
  readonly delayMs: number;
  /** The answer. */
  readonly answer: string;
}

/**
 * Reads a request.
 *
 * @param text `TOKEN LENGTH DELAY`.
 */
export function readAsked(text: string): Asked {
  const [token, length, delayMs] = text.split(" ");
  const rest = "x".repeat(Number(length) + 1);
  const answer = `${token} ${defaultConfig.getStr("version")} ${Deno.pid} ${rest}\n`;
  return { delayMs: Number(delayMs), answer };
}

function isFirst(): boolean {
  try {
    Deno.openSync(defaultConfig.getStr("first"), { createNew: true, write: true }).close();
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) return false;
    throw error;
  }
}

/**
 * The hooks of a server.
 *
 * @param serve Serves the clients of a listener.
 */
export function soakHooks(serve: (fd: number, fdType: FdType) => void): ServerHooks {
  let dying = false;
  return {
    async beforeService() {
      const behave = defaultConfig.getStr("behave");
      if (behave === "crash") Deno.exit(BAD_EXIT);
      if (behave === "hang") await new Promise(() => {});
      if (behave === "half" && !isFirst()) {
        await new Promise((resolve) => setTimeout(resolve, DIE_AFTER_MS));
        Deno.exit(BAD_EXIT);
      }
      dying = behave === "die";
    },
    serviceRegister(_service, fd, fdType) {
      if (dying) {
        // It takes no connection: what a process has taken ends with it, whoever its master is.
        setTimeout(() => Deno.exit(BAD_EXIT), DIE_AFTER_MS);
        return;
      }
      serve(fd, fdType);
      zinfo(`serves version ${defaultConfig.getStr("version")}`);
    },
  };
}

/**
 * The check of the settings that every service needs.
 *
 * @module
 */
import { type Config, settingOrigin } from "./config.ts";
import { cannot, type Place, type Problem, problemAt, quote, warningAt } from "./errors.ts";
import { nearest } from "./nearest.ts";
import { SERVER_COMMAND, SERVER_SERVICE, settingOf } from "./settings.ts";

/** The settings that make a file a service. */
export const ESSENTIAL: readonly string[] = [SERVER_COMMAND.name, SERVER_SERVICE.name];
const WANTED = ESSENTIAL.join(" and ");

/** The source of a service's settings. */
interface Source {
  /** The service's id. */
  readonly id: string;
  /** The place for messages that no line has caused. */
  readonly place: Place;
  /** The file's text, if there is one. */
  readonly text?: string;
  /** Whether a service of this id is in force. */
  readonly isServing?: boolean;
}

/** The result of {@linkcode checkEssentials}. */
export interface Essentials {
  /** Whether these settings define no service, with or without a problem. */
  readonly isPassedOver: boolean;
  readonly problems: readonly Problem[];
  readonly warnings: readonly Problem[];
}

/** Checks that the required settings are present. */
export function checkEssentials(config: Config, source: Source): Essentials {
  const { id, place, text = "", isServing = false } = source;
  const missing = ESSENTIAL.filter((key) => config.getStr(key) === "");
  const isHalf = missing.length < ESSENTIAL.length;
  const slips = missing.map((key) => slipFor(key, config, isHalf));
  if (isHalf || slips.some((slip) => slip !== undefined)) {
    const problems = missing.map((key, index) =>
      missingProblem({ key, slip: slips[index] }, { id, place, config })
    );
    return { isPassedOver: false, problems, warnings: [] };
  }
  const isSwitchedOff = config.size === 0 && text.includes("#");
  const found = config.size > 0
    ? "no server-service"
    : isSwitchedOff
    ? "only comments in it"
    : "no setting in it";
  const expected = isSwitchedOff ? "settings" : WANTED;
  const message = cannot("use as a service", id, {
    found: `${found}, ${isServing ? "but it serves now" : "so it is passed over"}`,
    expected: isServing
      ? `${expected}, or no such ${place.line === undefined ? "file" : "section"}`
      : expected,
  });
  const told = [isServing ? { ...place, message } : warningAt(place, { message })];
  return {
    isPassedOver: true,
    problems: isServing ? told : [],
    warnings: isServing ? [] : told,
  };
}

/**
 * Returns the required setting that a similar name was probably meant to be. With the other required setting
 * present, the name without its `server-` counts too; otherwise it may be anything.
 */
function slipFor(key: string, config: Config, isHalf: boolean): string | undefined {
  return [...config.keys()].filter((name) => settingOf(name) === undefined).find((written) => {
    const name = written.replace("\ufeff", "");
    return nearest(name, [key]) ?? (isHalf ? nearest(`server-${name}`, [key]) : undefined);
  });
}

function missingProblem(
  { key, slip }: { readonly key: string; readonly slip?: string },
  { id, place, config }: {
    readonly id: string;
    readonly place: Place;
    readonly config: Config;
  },
): Problem {
  if (slip === undefined) return { ...place, key, message: unfit(id, `no ${key}`) };
  const isHidden = slip.startsWith("\ufeff");
  const found = isHidden
    ? `no ${key}, since a byte order mark (BOM) stands before it`
    : `no ${key}, but ${quote(slip)}`;
  return problemAt(settingOrigin(config, slip), {
    key: isHidden ? key : slip,
    message: unfit(id, found),
  });
}

function unfit(id: string, found: string): string {
  return cannot("use as a service", id, { found, expected: WANTED });
}

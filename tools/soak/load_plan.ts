/**
 * What a load client does: whom it asks, in which ways, and how much.
 *
 * @module
 */

/** Where a target listens. */
export type LoadAddress =
  | { readonly transport: "tcp"; readonly hostname: string; readonly port: number }
  | { readonly transport: "unix"; readonly path: string };

/** What a target speaks. */
export type LoadProtocol = "http" | "line";

/** Someone to ask. */
export interface LoadTarget {
  /** Its name in the report; targets of the same name are counted together. */
  readonly name: string;
  readonly protocol: LoadProtocol;
  readonly address: LoadAddress;
}

/**
 * The ways to ask: `fresh` makes a connection for each request, `kept` has connections that stay
 * and always have a request under way.
 */
export const LOAD_KINDS = ["fresh", "kept"] as const;

/** One of {@linkcode LOAD_KINDS}. */
export type LoadKind = typeof LOAD_KINDS[number];

/** How much is asked at the same time, and what. */
export interface LoadSettings {
  /** How many connections at a time each target gets of each kind. */
  readonly connections: Readonly<Record<LoadKind, number>>;
  /** Where the choice of requests starts: the same seed makes the same requests. */
  readonly seed: number;
  /** A request asks for its answer after so many milliseconds at most. */
  readonly delayMs: number;
  /** One request in five hundred asks for a delay of up to so many milliseconds. */
  readonly longDelayMs: number;
  /**
   * Of the fresh connections one in so many asks only after up to so many milliseconds, as one does
   * whose request got lost on its way and is sent again.
   */
  readonly late: { readonly oneIn: number; readonly ms: number };
  /**
   * After how many answers a connection that is kept is made anew where the protocol has no way to
   * ask for that: a server that drains waits for the end of its connections, for 30 s.
   */
  readonly keptAnswers: { readonly least: number; readonly most: number };
  /** How long an answer may take, in milliseconds, beside the delay that was asked for. */
  readonly timeoutMs: number;
}

/** Everything that a load client is told. */
export interface LoadPlan extends LoadSettings {
  readonly targets: readonly LoadTarget[];
}

/** A load that takes about a third of one core, with answers that are due within a second. */
export const MODERATE_LOAD: LoadSettings = {
  connections: { fresh: 2, kept: 2 },
  seed: 20_260_101,
  delayMs: 20,
  longDelayMs: 1_500,
  late: { oneIn: 20, ms: 500 },
  keptAnswers: { least: 50, most: 200 },
  timeoutMs: 10_000,
};

/** A load that leaves a server without any request for a second at times, by clients that are slow. */
export const SLOW_LOAD: LoadSettings = {
  ...MODERATE_LOAD,
  connections: { fresh: 1, kept: 0 },
  late: { oneIn: 1, ms: 600 },
};

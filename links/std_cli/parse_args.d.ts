// Types of the function that parse_args.ts takes from the npm registry: those of the real package,
// short of names with a dot in them ("a.b"), of which this project has none.

/** The names in a type parameter: none if the option was left out. */
type NamesIn<T> = Extract<T, string>;

/** The flags whose value is a text. */
type Texts<TStrings, TCollectable, TNegatable> =
  & {
    [K in Exclude<NamesIn<TStrings>, TCollectable>]?: K extends TNegatable ? string | false
      : string;
  }
  & { [K in Extract<NamesIn<TStrings>, TCollectable>]: string[] };

/** The flags that are given or not. */
type Switches<TBooleans, TCollectable> =
  & { [K in Exclude<NamesIn<TBooleans>, TCollectable>]: boolean }
  & { [K in Extract<NamesIn<TBooleans>, TCollectable>]: boolean[] };

/** The flags that are collected, of no stated type. */
type Others<TBooleans, TStrings, TCollectable> = {
  [K in Exclude<NamesIn<TCollectable>, TBooleans | TStrings>]: unknown[];
};

/** The flags with their defaults, which are never missing. */
type WithDefaults<TFlags, TDefaults> = TDefaults extends undefined ? TFlags
  :
    & Omit<TFlags, keyof TDefaults>
    & {
      [K in keyof TDefaults]: K extends keyof TFlags ? TDefaults[K] | NonNullable<TFlags[K]>
        : unknown;
    };

/** The other names of a flag. */
type AliasesOf<K, TAliases> = K extends keyof TAliases
  ? TAliases[K] extends ReadonlyArray<infer TName> ? NamesIn<TName> : NamesIn<TAliases[K]>
  : never;

/** The flags under all of their names. */
type WithAliases<TFlags, TAliases> = {
  [K in keyof TFlags as K | AliasesOf<K, TAliases>]: TFlags[K];
};

/** All flags of a call: of any type, if none was stated. */
type Flags<TBooleans, TStrings, TCollectable, TNegatable, TDefaults, TAliases> =
  [NamesIn<TBooleans> | NamesIn<TStrings> | NamesIn<TCollectable>] extends [never]
    // deno-lint-ignore no-explicit-any
    ? Record<string, any>
    :
      & Record<string, unknown>
      & WithAliases<
        WithDefaults<
          & Texts<TStrings, TCollectable, TNegatable>
          & Switches<TBooleans, TCollectable>
          & Others<TBooleans, TStrings, TCollectable>,
          TDefaults
        >,
        TAliases
      >;

/** What {@linkcode parseArgs} returns: the flags, and in `_` everything that is no flag. */
export type Args<
  // deno-lint-ignore no-explicit-any
  TArgs extends Record<string, unknown> = Record<string, any>,
  TDoubleDash extends boolean | undefined = undefined,
> =
  & TArgs
  & { _: Array<string | number> }
  & (TDoubleDash extends true ? { "--": string[] } : { "--"?: string[] });

/** Options of {@linkcode parseArgs}. */
export interface ParseOptions<
  TBooleans extends boolean | string | undefined = boolean | string | undefined,
  TStrings extends string | undefined = string | undefined,
  TCollectable extends string | undefined = string | undefined,
  TNegatable extends string | undefined = string | undefined,
  TDefaults extends Record<string, unknown> | undefined = Record<string, unknown> | undefined,
  TAliases extends Record<string, string | ReadonlyArray<string>> | undefined =
    | Record<string, string | ReadonlyArray<string>>
    | undefined,
  TDoubleDash extends boolean | undefined = boolean | undefined,
> {
  /** Whether what follows a `--` goes to `"--"` instead of `_`. */
  "--"?: TDoubleDash;
  /** Other names of a flag. */
  alias?: TAliases;
  /** Flags without a value, false unless given; true: every `--flag` is one. */
  boolean?: TBooleans | ReadonlyArray<NamesIn<TBooleans>>;
  /** Values of flags that were not given. */
  default?: TDefaults;
  /** Whether everything after the first plain argument is plain too. */
  stopEarly?: boolean;
  /** Flags whose value is kept as the text that it is. */
  string?: TStrings | ReadonlyArray<NamesIn<TStrings>>;
  /** Flags that may be given more than once; their values make a list. */
  collect?: TCollectable | ReadonlyArray<NamesIn<TCollectable>>;
  /** Flags that `--no-flag` makes false. */
  negatable?: TNegatable | ReadonlyArray<NamesIn<TNegatable>>;
  /** Called with what no option names; false leaves it out of the result. */
  unknown?: (arg: string, key?: string, value?: unknown) => unknown;
}

/** Reads the arguments of a command line. */
export function parseArgs<
  TBooleans extends boolean | string | undefined = undefined,
  TStrings extends string | undefined = undefined,
  TCollectable extends string | undefined = undefined,
  TNegatable extends string | undefined = undefined,
  TDefaults extends Record<string, unknown> | undefined = undefined,
  TAliases extends Record<string, TAliasName | ReadonlyArray<TAliasName>> | undefined = undefined,
  TDoubleDash extends boolean | undefined = undefined,
  TAliasName extends string = string,
>(
  args: string[],
  options?: ParseOptions<
    TBooleans,
    TStrings,
    TCollectable,
    TNegatable,
    TDefaults,
    TAliases,
    TDoubleDash
  >,
): Args<
  Flags<TBooleans, TStrings, TCollectable, TNegatable, TDefaults, TAliases>,
  TDoubleDash
>;

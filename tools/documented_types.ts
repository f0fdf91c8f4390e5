/**
 * The exported types of modules with their doc comments, as `deno doc` reads them.
 *
 * @module
 */

const ROOT = new URL("..", import.meta.url);

/** A type, as far as it is looked at. */
export type TypeNode =
  | { readonly kind: "keyword"; readonly value: string }
  | { readonly kind: "literal"; readonly repr: string; readonly value: { readonly kind: string } }
  | { readonly kind: "union" | "intersection"; readonly value: readonly TypeNode[] }
  | { readonly kind: "array" | "parenthesized"; readonly value: TypeNode }
  | { readonly kind: "typeOperator"; readonly value: { readonly tsType: TypeNode } }
  | { readonly kind: "typeLiteral"; readonly value: { readonly properties: readonly Property[] } }
  | {
    readonly kind: "typeRef";
    readonly value: { readonly typeName: string; readonly typeParams?: readonly TypeNode[] };
  };

/** A property of a type. */
export interface Property {
  readonly name: string;
  readonly optional?: boolean;
  readonly jsDoc?: { readonly doc?: string };
  readonly tsType: TypeNode;
}

/** An exported interface or type alias. */
export interface DocumentedType {
  readonly doc: string;
  readonly type: TypeNode;
}

/** The part of the output of `deno doc --json` that is read here. */
interface Documentation {
  readonly nodes: Readonly<Record<string, { readonly symbols: readonly DocumentedSymbol[] }>>;
}

/** An exported name. */
export interface DocumentedSymbol {
  readonly name: string;
  readonly declarations: readonly {
    readonly kind: string;
    readonly jsDoc?: { readonly doc?: string };
    readonly def?: {
      readonly properties?: readonly Property[];
      readonly tsType?: TypeNode;
      readonly extends?: readonly TypeNode[];
    };
  }[];
}

/**
 * Reads modules.
 *
 * @param files Their paths from the root.
 * @returns The exported names of each, by its path.
 */
export function documentedSymbols(
  files: readonly string[],
): ReadonlyMap<string, readonly DocumentedSymbol[]> {
  const { code, stdout, stderr } = new Deno.Command(Deno.execPath(), {
    args: ["doc", "--json", ...files],
    cwd: ROOT,
  }).outputSync();
  if (code !== 0) throw new Error(new TextDecoder().decode(stderr));
  const { nodes }: Documentation = JSON.parse(new TextDecoder().decode(stdout));
  return new Map(files.map((file) => [file, nodes[new URL(file, ROOT).href].symbols]));
}

/** The exported types of modules, by their names. */
export class DocumentedTypes {
  readonly #types = new Map<string, DocumentedType>();

  /** @param files The paths of the modules from the root. */
  constructor(files: readonly string[]) {
    for (const { name, declarations } of [...documentedSymbols(files).values()].flat()) {
      const [{ kind, jsDoc, def }] = declarations;
      const type: TypeNode | undefined = kind === "interface"
        ? {
          kind: "intersection",
          value: [...def!.extends ?? [], {
            kind: "typeLiteral",
            value: { properties: def!.properties! },
          }],
        }
        : kind === "typeAlias"
        ? def!.tsType
        : undefined;
      if (type !== undefined) this.#types.set(name, { doc: textOf(jsDoc), type });
    }
  }

  /** The type of this name. */
  get(name: string): DocumentedType {
    const type = this.#types.get(name);
    if (type === undefined) throw new Error(`no exported type ${name}`);
    return type;
  }

  /** The properties of an object type; none of any other. */
  propertiesOf(type: TypeNode): readonly Property[] {
    if (type.kind === "typeLiteral") return type.value.properties;
    if (type.kind === "intersection") return type.value.flatMap((part) => this.propertiesOf(part));
    if (type.kind !== "typeRef" || !this.#types.has(type.value.typeName)) return [];
    return this.propertiesOf(this.get(type.value.typeName).type);
  }

  /** The members of a union, and of the unions in it. */
  unionOf(type: TypeNode): readonly TypeNode[] {
    if (type.kind === "union") return type.value.flatMap((one) => this.unionOf(one));
    if (type.kind !== "typeRef") return [type];
    const { type: meant } = this.get(type.value.typeName);
    return meant.kind === "union" ? this.unionOf(meant) : [type];
  }

  /**
   * Compares a value with a type.
   *
   * @param value The value.
   * @param type The type.
   * @param path Where the value is.
   * @returns Each difference, such as `status.master.pid: missing`.
   */
  differences(value: unknown, type: TypeNode, path: string): readonly string[] {
    switch (type.kind) {
      case "keyword": {
        const found = value === null ? "null" : typeof value;
        return type.value === found ? [] : [`${path}: ${found}, not ${type.value}`];
      }
      case "literal":
        return String(value) === type.repr ? [] : [`${path}: ${value}, not ${type.repr}`];
      case "union": {
        const all = type.value.map((one) => this.differences(value, one, path));
        return all.some((one) => one.length === 0) ? [] : all.flat();
      }
      case "typeOperator":
        return this.differences(value, type.value.tsType, path);
      case "parenthesized":
        return this.differences(value, type.value, path);
      case "array":
        if (!Array.isArray(value)) return [`${path}: no list`];
        return value.flatMap((one) => this.differences(one, type.value, `${path}[]`));
      case "typeRef":
        return this.#referred(value, type.value, path);
      default:
        return this.#ofObject(value, this.propertiesOf(type), path);
    }
  }

  #referred(
    value: unknown,
    { typeName, typeParams: [first, second] = [] }: {
      readonly typeName: string;
      readonly typeParams?: readonly TypeNode[];
    },
    path: string,
  ): readonly string[] {
    if (typeName === "Readonly") return this.differences(value, first, path);
    if (typeName !== "Record") return this.differences(value, this.get(typeName).type, path);
    const found = Object.entries(value as object);
    return [
      ...this.differences(found.map(([key]) => key), { kind: "array", value: first }, path),
      ...found.flatMap(([key, one]) => this.differences(one, second, `${path}.${key}`)),
    ];
  }

  #ofObject(value: unknown, properties: readonly Property[], path: string): readonly string[] {
    if (typeof value !== "object" || value === null) return [`${path}: ${value}, not an object`];
    const unknown = Object.keys(value).filter((key) =>
      properties.every(({ name }) => name !== key)
    );
    return [
      ...unknown.map((key) => `${path}.${key}: not documented`),
      ...properties.flatMap(({ name, optional, tsType }) =>
        Object.hasOwn(value, name)
          ? this.differences((value as Record<string, unknown>)[name], tsType, `${path}.${name}`)
          : optional
          ? []
          : [`${path}.${name}: missing`]
      ),
    ];
  }
}

/** A doc comment as Markdown, without the links between names. */
export function textOf(jsDoc: { readonly doc?: string } = {}): string {
  return (jsDoc.doc ?? "").trim().replace(/\{@linkcode ([^}]+)\}/g, "`$1`");
}

/** A type as TypeScript has it, but for `readonly`. */
export function typeText(type: TypeNode): string {
  switch (type.kind) {
    case "keyword":
      return type.value;
    case "literal":
      return type.value.kind === "string" ? JSON.stringify(type.repr) : type.repr;
    case "union":
      return type.value.map(typeText).join(" | ");
    case "intersection":
      return type.value.map(typeText).join(" & ");
    case "array":
      return `${typeText(type.value)}[]`;
    case "typeOperator":
      return typeText(type.value.tsType);
    case "parenthesized":
      return `(${typeText(type.value)})`;
    case "typeLiteral":
      return `{ ${type.value.properties.map(propertyText).join("; ")} }`;
    case "typeRef": {
      const { typeName, typeParams = [] } = type.value, texts = typeParams.map(typeText);
      if (typeName === "Readonly") return texts[0];
      return texts.length === 0 ? typeName : `${typeName}<${texts.join(", ")}>`;
    }
  }
}

/** Such as `wait?: boolean`. */
export function propertyText({ name, optional, tsType }: Property): string {
  return `${name}${optional ? "?" : ""}: ${typeText(tsType)}`;
}

/** A Markdown text as `deno fmt` lays it out. */
export async function formatted(markdown: string): Promise<string> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["fmt", "--ext", "md", "-"],
    cwd: ROOT,
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(markdown));
  await writer.close();
  const { code, stdout } = await child.output();
  if (code !== 0) throw new Error(`deno fmt has ended with ${code}`);
  return new TextDecoder().decode(stdout);
}

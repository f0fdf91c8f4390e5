import { assert, assertEquals } from "@std/assert";
import { LINE_BYTES_MAX, LineSplitter } from "../../../src/master/outputs/line_splitter.ts";
import { seededRandom } from "../../support/random.ts";

const encoder = new TextEncoder(), decoder = new TextDecoder();

/** A splitter whose calls return the lines that they have passed on. */
class Splitter {
  #lines: Uint8Array[] = [];
  readonly #splitter = new LineSplitter((line) => this.#lines.push(line.slice()));

  take(data: Uint8Array): Uint8Array[] {
    this.#splitter.take(data);
    return this.#lines.splice(0);
  }

  skip(data: Uint8Array): number {
    return this.#splitter.skip(data);
  }

  end(): Uint8Array | undefined {
    this.#splitter.end();
    return this.#lines.splice(0)[0];
  }
}

function textOf(lines: readonly Uint8Array[]): string[] {
  return lines.map((line) => decoder.decode(line));
}

Deno.test("LineSplitter joins the pieces of a line, and keeps one without an end", () => {
  const splitter = new Splitter();
  assertEquals(textOf(splitter.take(encoder.encode("one\ntw"))), ["one"]);
  assertEquals(textOf(splitter.take(encoder.encode("o\r\n\nthr"))), ["two", ""]);
  assertEquals(textOf(splitter.take(encoder.encode("ee"))), []);
  assertEquals(decoder.decode(splitter.end()), "three");
  assertEquals(splitter.end(), undefined);
});

Deno.test("LineSplitter keeps no bytes of the caller's buffer", () => {
  const splitter = new Splitter(), buffer = encoder.encode("begin");
  splitter.take(buffer);
  buffer.fill(0x78);
  assertEquals(textOf(splitter.take(encoder.encode(" end\n"))), ["begin end"]);
});

Deno.test("LineSplitter passes on a long line in pieces, none of which cuts a character", () => {
  for (const character of ["x", "é", "漢", "😀"]) {
    const splitter = new Splitter(), line = character.repeat(LINE_BYTES_MAX);
    const bytes = encoder.encode(`${line}\n`), lines: Uint8Array[] = [];
    for (let at = 0; at < bytes.length; at += 1000) {
      lines.push(...splitter.take(bytes.subarray(at, at + 1000)));
    }
    assertEquals(textOf(lines).join(""), line);
    assertEquals(lines.filter(({ length }) => length > LINE_BYTES_MAX), []);
    assert(lines.length <= Math.ceil(bytes.length / LINE_BYTES_MAX) + 1);
  }
});

Deno.test("LineSplitter loses no byte of a long line in no encoding", () => {
  const splitter = new Splitter(), line = new Uint8Array(3 * LINE_BYTES_MAX).fill(0x90);
  const lines = [...splitter.take(line), splitter.end()!];
  assertEquals(lines.map(({ length }) => length), [LINE_BYTES_MAX, LINE_BYTES_MAX, LINE_BYTES_MAX]);
});

Deno.test("LineSplitter gives the same lines however the bytes are cut", () => {
  const random = seededRandom(1);
  const text = Array.from({ length: 300 }, () => "ab\ncé\r\n漢\n\n".charAt(random(11))).join("");
  const bytes = encoder.encode(text);
  const expected = new Splitter();
  const whole = [...textOf(expected.take(bytes)), decoder.decode(expected.end())];
  for (let round = 0; round < 200; round++) {
    const splitter = new Splitter(), lines: string[] = [];
    for (let at = 0, size; at < bytes.length; at += size) {
      size = 1 + random(20);
      lines.push(...textOf(splitter.take(bytes.subarray(at, at + size))));
    }
    assertEquals([...lines, decoder.decode(splitter.end())], whole);
  }
});

Deno.test("LineSplitter skips lines, and goes on with the one that has no end yet", () => {
  const splitter = new Splitter();
  assertEquals(textOf(splitter.take(encoder.encode("one\ntw"))), ["one"]);
  assertEquals(splitter.skip(encoder.encode("o\n\nthree\nfo")), 3);
  assertEquals(splitter.skip(encoder.encode("u")), 0);
  assertEquals(textOf(splitter.take(encoder.encode("r\nfive\n"))), ["four", "five"]);
});

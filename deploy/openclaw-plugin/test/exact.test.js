import assert from "node:assert/strict";
import { test } from "node:test";
import { parseExact } from "../src/exact.js";

test("long numbers keep all digits, all else is what JSON.parse makes", () => {
  const rows = [
    ['{"id":7265419038812345671}', { id: "7265419038812345671" }],
    ['{"id":-7265419038812345671}', { id: "-7265419038812345671" }],
    ['[18446744073709551615,1]', ["18446744073709551615", 1]],
    ['{"id": 7265419038812345671 , "n":12}', { id: "7265419038812345671", n: 12 }],
    ['{"t":"said 7265419038812345671"}', { t: "said 7265419038812345671" }],
    ['{"t":"a \\"7265419038812345671\\" b","i":7265419038812345672}', { t: 'a "7265419038812345671" b', i: "7265419038812345672" }],
    ['{"t":"\\\\","i":7265419038812345672}', { t: "\\", i: "7265419038812345672" }],
    ['{"f":0.12345678901234567,"e":12345678901234567e3}', { f: 0.12345678901234567, e: 12345678901234567e3 }],
    ['{"a":123456789012345}', { a: 123456789012345 }],
    ["7265419038812345671", "7265419038812345671"],
    ["null", null],
  ];
  for (const [json, want] of rows) assert.deepEqual(parseExact(json), want, json);
});

test("five ids that a float64 cannot tell apart stay five", () => {
  const ids = [0, 1, 2, 3, 4].map((n) => `726541903881234567${n}`);
  assert.equal(new Set(ids.map((id) => parseExact(`{"id":${id}}`).id)).size, 5);
});

test("what is not JSON is refused", () => {
  for (const text of ["", "{", '{"a":01}', "7265419038812345671x", '{"a":1}{"b":2}']) {
    assert.throws(() => parseExact(text), SyntaxError, text);
  }
});

test("a large body is read in a moment", () => {
  const body = JSON.stringify({ ImgBuf: { buffer: "QUJD\\\"".repeat(700_000) }, n: 1 }).replace('"n":1', '"n":7265419038812345671');
  const started = Date.now();
  assert.equal(parseExact(body).n, "7265419038812345671");
  assert.ok(Date.now() - started < 3000, `took ${Date.now() - started} ms`);
});

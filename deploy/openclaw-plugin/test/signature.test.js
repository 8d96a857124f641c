import assert from "node:assert/strict";
import { test } from "node:test";
import { claimedDigest, isSigned, sign } from "../src/signature.js";

const BYTES = Buffer.from('{"b": 1,\t"a":"<&>你", "n":7265419038812345671}\n');

test("the signature is the one that others make", () => {
  // echo -n '{"a":1}' | openssl dgst -sha256 -hmac k
  assert.equal(sign("k", '{"a":1}'), "sha256=c3a92ff9e274cdcce27a58c15a78ec6dcbbdbd0038a87e7a11baef2028fd8bff");
});

test("each of several secrets is good, in either case of the digits", () => {
  for (const secret of ["new", "old"]) {
    assert.ok(isSigned(["new", "old"], claimedDigest(sign(secret, BYTES)), BYTES), secret);
  }
  assert.ok(isSigned(["new"], claimedDigest(sign("new", BYTES).toUpperCase().replace("SHA256", "sha256")), BYTES));
});

test("a changed byte, another secret and no secret at all are refused", () => {
  const digest = claimedDigest(sign("new", BYTES));
  const changed = Buffer.from(BYTES);
  changed[3] ^= 1;
  assert.equal(isSigned(["new"], digest, changed), false);
  assert.equal(isSigned(["other"], digest, BYTES), false);
  assert.equal(isSigned([], digest, BYTES), false);
});

test("what is no signature is none", () => {
  for (const header of [undefined, "", "sha256=", "sha1=aa", "sha256=zz", `sha256=${"a".repeat(63)}`, `md5=${"a".repeat(64)}`, ["a"]]) {
    assert.equal(claimedDigest(header), null, String(header));
  }
});

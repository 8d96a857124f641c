/** Reading single values of a push: names in any case, values plain or wrapped, ids exactly. */

const MAX_ID = 256;

/** An object's members under their names in lower case and without underscores: NewMsgId, new_msg_id and newMsgId are one. */
export function fold(object) {
  const members = new Map();
  if (!isObject(object)) return members;
  for (const [name, value] of Object.entries(object)) members.set(name.replaceAll("_", "").toLowerCase(), value);
  return members;
}

export function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The text of a string, a number, or a wrapper around one ({"string":…}, {"str":…}); "" for everything else. */
export function textOf(value) {
  if (isObject(value)) {
    const members = fold(value);
    return scalar(members.get("string") ?? members.get("str"));
  }
  return scalar(value);
}

function scalar(value) {
  if (typeof value === "string") return value;
  return typeof value === "number" ? String(value) : "";
}

/**
 * An id as text: a string, a number of up to 53 bits, or the halves {high,low} that protobuf makes of 64 bits in
 * JavaScript, either of which may be signed or left out. "" where there is none; 0 is none.
 */
export function idOf(value) {
  const id = isObject(value) ? halves(value) || textOf(value) : scalar(value);
  const bare = id.trim();
  return bare === "0" || bare.length > MAX_ID || hasControl(bare) ? "" : bare;
}

function halves(value) {
  if (!("low" in value) && !("high" in value)) return "";
  const high = word(value.high);
  const low = word(value.low);
  return high === null || low === null ? "" : String((high << 32n) | low);
}

/** One half as an unsigned number of 32 bits. One that is not there is 0: protobuf leaves zeros out. */
function word(half) {
  if (half === undefined || half === null) return 0n;
  if (!/^-?\d{1,10}$/.test(String(half))) return null;
  const n = BigInt(half);
  return n < -(2n ** 31n) || n >= 2n ** 32n ? null : BigInt.asUintN(32, n);
}

function hasControl(text) {
  return /[\u0000-\u001f\u007f]/.test(text);
}

/** The first argument that is not empty, "" if all are. */
export function first(...values) {
  return values.find((value) => value !== "" && value !== undefined) ?? "";
}

/** Reads a flag: true, 1, "1", "true". */
export function isTrue(value) {
  return value === true || ["1", "true"].includes(textOf(value).toLowerCase());
}

/** Unix time in milliseconds of seconds or milliseconds; undefined where there is none. */
export function millisOf(value) {
  const n = Number(isObject(value) ? idOf(value) : scalar(value) || NaN);
  if (!Number.isFinite(n) || n <= 0) return undefined;
  return n < 100_000_000_000 ? Math.round(n * 1000) : Math.round(n);
}

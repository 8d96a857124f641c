/**
 * JSON whose large numbers survive. JSON.parse makes floating-point numbers, which hold 53 bits: of a WeChat message id
 * of 63 bits the last digits are lost, and different messages become one. So numbers too long for that are quoted in the
 * text before it is parsed, and arrive as strings of exactly their digits.
 */

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** Parses JSON text. Whole numbers of 16 digits and more become strings. Throws SyntaxError as JSON.parse does. */
export function parseExact(text) {
  const plain = JSON.parse(text); // the check: what follows relies on valid JSON
  const quoted = quoteLongNumbers(text);
  return quoted === text ? plain : JSON.parse(quoted);
}

function quoteLongNumbers(text) {
  const parts = [];
  let from = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === QUOTE) {
      i = stringEnd(text, i);
    } else if (isDigit(c)) {
      const start = text[i - 1] === "-" ? i - 1 : i;
      const end = numberEnd(text, i);
      if (isLong(text, i, end)) {
        parts.push(text.slice(from, start), '"', text.slice(start, end), '"');
        from = end;
      }
      i = end - 1;
    }
  }
  return from === 0 ? text : parts.join("") + text.slice(from);
}

/** The index of the quote that ends the string which starts at i. */
function stringEnd(text, i) {
  for (let end = text.indexOf('"', i + 1); ; end = text.indexOf('"', end + 1)) {
    let slashes = 0;
    while (text.charCodeAt(end - 1 - slashes) === BACKSLASH) slashes++;
    if (slashes % 2 === 0) return end;
  }
}

function numberEnd(text, i) {
  let end = i;
  while (end < text.length && "0123456789.eE+-".includes(text[end])) end++;
  return end;
}

/** Only whole numbers are ids; a fraction or an exponent stays what it was. */
function isLong(text, start, end) {
  if (end - start < 16) return false;
  for (let i = start; i < end; i++) if (!isDigit(text.charCodeAt(i))) return false;
  return true;
}

function isDigit(c) {
  return c >= 0x30 && c <= 0x39;
}

/** The signature of a webhook: X-Wechat-Abot-Signature: sha256=<hex HMAC-SHA256(secret, raw body)>. */

import { createHmac, timingSafeEqual } from "node:crypto";

export const SIGNATURE_HEADER = "x-wechat-abot-signature";

const FORM = /^sha256=([0-9a-f]{64})$/i;

/** Returns the digest that a header claims, or null if it is no signature at all. */
export function claimedDigest(header) {
  const match = typeof header === "string" ? FORM.exec(header.trim()) : null;
  return match ? Buffer.from(match[1], "hex") : null;
}

/**
 * Says whether one of the secrets made the digest over these bytes. All secrets are tried, each in constant time, so that
 * the time tells neither how much of a digest was right nor which secret is the old one.
 */
export function isSigned(secrets, digest, bytes) {
  let found = false;
  for (const secret of secrets) {
    const want = createHmac("sha256", secret).update(bytes).digest();
    found = timingSafeEqual(want, digest) || found;
  }
  return found;
}

/** Signs bytes as the relay does. */
export function sign(secret, bytes) {
  return `sha256=${createHmac("sha256", secret).update(bytes).digest("hex")}`;
}

/**
 * The channel's settings: defaults filled in, mistakes named. It reads no file and knows no secret store; OpenClaw has
 * already replaced ${NAME} and checked the types by the manifest's schema.
 */

export const CHANNEL = "wechat_abot";

const DEFAULTS = Object.freeze({
  webhookPath: "/wechat_abot/webhook",
  self: "",
  dmPolicy: "allowlist",
  groupPolicy: "",
  allowFrom: [],
  ack: "after",
});

/** Bounds of what the plugin holds, reads and tries. */
export const LIMITS = Object.freeze({
  bodyBytes: 4 * 1024 * 1024,
  readSeconds: 10,
  held: 128,
  remembered: 20_000,
  sendTries: 8,
  sendSeconds: 60,
});

/**
 * Returns the settings of a whole OpenClaw configuration. Never throws: what is missing is listed in `missing`, so that a
 * channel that is not set up can still be shown.
 */
export function settingsOf(cfg) {
  const section = cfg?.channels?.[CHANNEL] ?? {};
  const merged = { ...DEFAULTS, ...section, limits: { ...LIMITS, ...section.limits } };
  const secrets = [section.webhookSecret].flat().filter((s) => typeof s === "string" && s !== "");
  const settings = {
    enabled: section.enabled !== false,
    secrets,
    webhookPath: merged.webhookPath,
    apiBase: String(section.apiBase ?? "").replace(/\/+$/, ""),
    botToken: String(section.botToken ?? ""),
    self: String(merged.self),
    dmPolicy: merged.dmPolicy,
    groupPolicy: merged.groupPolicy || merged.dmPolicy,
    allowFrom: [merged.allowFrom ?? []].flat().map(String),
    ack: merged.ack,
    limits: merged.limits,
  };
  settings.missing = missingOf(settings);
  return settings;
}

function missingOf(settings) {
  const missing = [];
  if (settings.secrets.length === 0) missing.push("webhookSecret");
  if (!isAddress(settings.apiBase)) missing.push("apiBase");
  if (settings.botToken === "") missing.push("botToken");
  return missing;
}

/** An address that can be called: with a user and a password in it, it cannot. */
function isAddress(text) {
  if (!/^https?:/i.test(text) || !URL.canParse(text)) return false;
  const { username, password } = new URL(text);
  return username === "" && password === "";
}

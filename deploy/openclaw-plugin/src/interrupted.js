/**
 * Turns that the end of a process interrupted. OpenClaw would resume them by itself some seconds after its start, and send
 * what they say without an event's key; but nothing of them was acknowledged, so the relay repeats their events too, and
 * people would read two answers. So before the account takes events, its sessions that are marked as interrupted are
 * settled: their transcripts stay, only the mark goes.
 */

import { CHANNEL } from "./settings.js";

const SETTLED = Object.freeze({
  status: "failed",
  abortedLastRun: false,
  restartRecoveryRuns: undefined,
  mainRestartRecovery: undefined,
});

/**
 * Settles what was running before `startedAt`. `sessions` is runtime.agent.session. Failures are a warning: the worst that
 * follows is the second answer.
 */
export async function settleInterrupted({ sessions, cfg, startedAt, warn }) {
  for (const agentId of agentsOf(cfg)) {
    try {
      const found = sessions.listSessionEntries({ agentId, readOnly: true });
      for (const { sessionKey } of found.filter((session) => isOurs(session) && isInterrupted(session.entry, startedAt))) {
        const update = (entry) => (isInterrupted(entry, startedAt) ? SETTLED : null);
        await sessions.patchSessionEntry({ agentId, sessionKey, preserveActivity: true, update });
      }
    } catch (error) {
      warn(`interrupted turns were not settled: ${error.code ?? error.name}`);
    }
  }
}

function agentsOf(cfg) {
  const { list = [], entries = {} } = cfg.agents ?? {};
  const named = [...list.map((agent) => agent?.id), ...Object.keys(entries)];
  return new Set(["main", ...named.filter((id) => typeof id === "string" && id !== "")]);
}

/** A session of this channel alone, or a shared one that spoke through it last. */
function isOurs({ sessionKey, entry }) {
  return sessionKey.includes(`:${CHANNEL}:`) || entry?.delivery?.context?.channel === CHANNEL;
}

function isInterrupted(entry, startedAt) {
  return entry?.status === "running" && (entry.abortedLastRun === true || !(entry.updatedAt >= startedAt));
}

/** The entry that OpenClaw loads: everything of its SDK is imported here. */

import { createChannelPluginBase, createChatChannelPlugin, defineChannelPluginEntry } from "openclaw/plugin-sdk/channel-core";
import { PlatformMessageNotDispatchedError } from "openclaw/plugin-sdk/error-runtime";
import { channelReadyPatch, channelStoppedPatch } from "openclaw/plugin-sdk/gateway-runtime";
import { isReplyPayloadNonTerminalToolErrorWarning } from "openclaw/plugin-sdk/reply-payload";
import { createChannel } from "./src/channel.js";
import { CHANNEL, settingsOf } from "./src/settings.js";

const channel = createChannel({
  channelReadyPatch,
  channelStoppedPatch,
  createChannelPluginBase,
  createChatChannelPlugin,
  isReplyPayloadNonTerminalToolErrorWarning,
  PlatformMessageNotDispatchedError,
});

export default defineChannelPluginEntry({
  id: CHANNEL,
  name: "WeChat Abot",
  description: "IMs through imrelay: signed webhooks in, idempotent sends out.",
  plugin: channel.plugin,
  setRuntime: channel.setRuntime,
  registerFull(api) {
    // Registered for as long as the plugin is loaded, and not by the account: a path without a handler is answered 404,
    // which the relay takes for final.
    api.registerHttpRoute({
      path: settingsOf(api.config).webhookPath,
      auth: "plugin",
      match: "exact",
      handler: channel.handle,
    });
  },
});

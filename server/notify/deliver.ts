import { createHash } from "node:crypto";

import { clean } from "#report/text";

import { linkOf } from "../domain/notify/link.ts";
import {
  alertmanagerBody,
  linesOf,
  pagerDutyBody,
  slackBody,
  subjectOf,
  textOfLines,
  webhookBody,
  type Message,
  type Rendering,
} from "../domain/notify/message.ts";
import type { Receiver, Secrets } from "../domain/notify/receiver.ts";
import type { Delivered } from "../domain/notify/retry.ts";
import { post } from "./post.ts";
import type { Reach } from "./resolve.ts";
import { signatureOf } from "./sign.ts";
import { sendMail } from "./smtp.ts";

const json = { "content-type": "application/json" };

/** From where and how messages go. */
export interface Sending {
  readonly reach: Reach;
  /** The address of the console, with the slash at its end: messages lead there. */
  readonly home: string;
  readonly nowMs: () => number;
}

/**
 * Sends a message to a receiver, once. Never throws for what the receiver or the way there does. What it answered is told without
 * control characters: a database takes no NUL, and a terminal obeys them.
 */
export async function deliver(...sending: Parameters<typeof send>): Promise<Delivered> {
  const result = await send(...sending);
  return result.ok ? { ...result, detail: clean(result.detail) } : { ...result, why: clean(result.why) };
}

async function send(
  message: Message,
  { kind, settings }: Receiver,
  secrets: Secrets,
  { reach, home, nowMs }: Sending,
): Promise<Delivered> {
  const rendering: Rendering = {
    at: (ms) => new Date(ms).toISOString(),
    link: (entry) => linkOf(home, entry),
  };
  const id = { "falconry-delivery": message.id };
  const postJson = (url: string, body: object, headers: Readonly<Record<string, string>> = {}) =>
    post({ url, headers: { ...json, ...id, ...headers }, body: JSON.stringify(body) }, reach, nowMs);
  switch (kind) {
    case "alertmanager": {
      if (message.report !== undefined) return noReports(kind);
      const url = `${(settings["url"] ?? "").replace(/\/+$/, "")}/api/v2/alerts`;
      return postJson(
        url,
        alertmanagerBody(message, rendering),
        authorization(settings["username"], secrets),
      );
    }
    case "slack":
      return postJson(secrets["url"] ?? "", slackBody(message, settings["channel"], rendering));
    case "pagerduty": {
      if (message.report !== undefined) return noReports(kind);
      const dedup = createHash("sha256")
        .update(`${message.org}\n${message.route}\n${message.group}`)
        .digest("hex");
      const body = pagerDutyBody(message, secrets["key"] ?? "", dedup, rendering);
      if (body === undefined) return { ok: true, detail: "Nothing to send: the incident goes on" };
      return postJson(settings["url"] ?? "", body);
    }
    case "webhook": {
      const body = JSON.stringify(webhookBody(message, rendering));
      const headers = { ...json, ...id, ...signatureOf(body, secrets, nowMs()) };
      return post({ url: settings["url"] ?? "", headers, body }, reach, nowMs);
    }
    case "smtp": {
      const text = textOfLines(linesOf(message, rendering.link));
      const mail = { id: message.id, subject: subjectOf(message), text };
      const { report } = message;
      return sendMail(
        { ...mail, ...(report === undefined ? {} : { attachment: report }) },
        settings,
        secrets,
        reach,
      );
    }
  }
}

function noReports(kind: string): Delivered {
  return { ok: false, why: `A receiver of kind ${kind} takes no reports`, mayRetry: false };
}

function authorization(
  username: string | undefined,
  { token, password }: Secrets,
): Readonly<Record<string, string>> {
  if (token !== undefined) return { authorization: `Bearer ${token}` };
  if (username === undefined || password === undefined) return {};
  return { authorization: `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}` };
}

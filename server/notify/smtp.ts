import { isIP } from "node:net";

import type { Attachment } from "../domain/notify/message.ts";
import { addressesIn, type Secrets, type Settings } from "../domain/notify/receiver.ts";
import type { Delivered } from "../domain/notify/retry.ts";
import { trusted } from "./post.ts";
import { resolve, timeoutMsUsual, type Reach } from "./resolve.ts";

export interface Mail {
  /** The same in every attempt: becomes the Message-ID. */
  readonly id: string;
  readonly subject: string;
  readonly text: string;
  readonly attachment?: Attachment;
}

/**
 * Hands one mail to a relay. With `tls` starttls or implicit nothing is said before TLS stands and the relay's certificate is checked;
 * without TLS only into networks that the operator opened.
 */
export async function sendMail(
  mail: Mail,
  settings: Settings,
  secrets: Secrets,
  reach: Reach,
): Promise<Delivered> {
  const { host = "", port = "", tls: mode = "", from = "", to = "", username } = settings;
  const target = await resolve(host, reach);
  if (!target.ok) return { ok: false, why: target.why, mayRetry: target.mayRetry };
  if (mode === "none" && !target.isOpened) {
    const why = `${host} would get it in plain text: set tls, or open its network with FALCONRY_NOTIFY_NETWORKS`;
    return { ok: false, why, mayRetry: false };
  }
  const timeoutMs = reach.timeoutMs ?? timeoutMsUsual;
  // Loaded late: most servers send no mail.
  const { createTransport } = await import("nodemailer");
  const transport = createTransport({
    host: target.address,
    port: Number(port),
    secure: mode === "implicit",
    requireTLS: mode === "starttls",
    ignoreTLS: mode === "none",
    tls: { ...trusted(reach.ca), ...(isIP(host) === 0 ? { servername: host } : {}) },
    ...(username === undefined ? {} : { auth: { user: username, pass: secrets["password"] ?? "" } }),
    connectionTimeout: timeoutMs,
    greetingTimeout: timeoutMs,
    socketTimeout: timeoutMs,
    // What is sent are our own words; nothing is read from files or fetched.
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  const { attachment } = mail;
  try {
    const sent = await within(
      2 * timeoutMs,
      transport.sendMail({
        messageId: `<${mail.id}@falconry>`,
        from,
        to: [...addressesIn(to)],
        subject: mail.subject,
        text: mail.text,
        headers: { "Auto-Submitted": "auto-generated" },
        ...(attachment === undefined
          ? {}
          : {
              attachments: [
                {
                  filename: attachment.fileName,
                  contentType: attachment.mediaType,
                  content: attachment.text,
                },
              ],
            }),
      }),
    );
    return { ok: true, detail: `${host} took it: ${sent.response.slice(0, 200)}` };
  } catch (error) {
    return failed(host, error);
  } finally {
    transport.close();
  }
}

/** A relay that answers each line late would hold a sender for long. */
async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not done within ${ms / 1000} s`)), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** A relay's 5yz is for good (RFC 5321); so is a password that it does not take. All else may go by. */
function failed(host: string, error: unknown): Delivered {
  const why = error instanceof Error ? error.message : String(error);
  const status: unknown = error instanceof Error && "responseCode" in error ? error.responseCode : undefined;
  const isFinal = typeof status === "number" && status >= 500;
  return { ok: false, why: `${host}: ${why.slice(0, 300)}`, mayRetry: !isFinal };
}

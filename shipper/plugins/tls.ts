import type { TlsConfig } from "../http-config.ts";
import type { OptionTable, Options } from "../options.ts";
import { readSecret } from "./secret.ts";

export const tlsOptions: OptionTable = {
  tls: "used",
  "tls.verify": "used",
  "tls.ca_file": "used",
  "tls.crt_file": "used",
  "tls.key_file": "used",
  "tls.key_passwd": "used",
  "tls.key_passwd_file": "used",
  "tls.vhost": "used",
  "tls.debug": { ignored: "failures of TLS are always reported" },
  "tls.verify_hostname": {
    ignored: 'with "tls.verify on" the name is always verified; "tls.vhost" says which one',
  },
  "tls.ca_path": { refused: 'write the certificates into one file and name it with "tls.ca_file"' },
};

/** TLS towards a destination, undefined when it is off. Files are read when a connection is made. */
export function readTls(options: Options): TlsConfig | undefined {
  if (!options.boolean("tls", false)) {
    const orphan = options.entry("tls.crt_file") ?? options.entry("tls.ca_file");
    if (orphan !== undefined) options.refuse(orphan, `"${orphan.key}" has no effect: add "tls on"`);
    return undefined;
  }
  return {
    verify: options.boolean("tls.verify", true),
    caFile: readPath(options, "tls.ca_file"),
    vhost: options.text("tls.vhost"),
    client: readClient(options),
  };
}

function readClient(options: Options): TlsConfig["client"] {
  const certFile = readPath(options, "tls.crt_file");
  const keyFile = readPath(options, "tls.key_file");
  const password = readSecret(options, "tls.key_passwd");
  if (certFile !== undefined && keyFile !== undefined) return { certFile, keyFile, password };
  const alone = options.entry("tls.crt_file") ?? options.entry("tls.key_file");
  if (alone !== undefined) {
    options.refuse(alone, '"tls.crt_file" and "tls.key_file" belong together: add the other one');
  }
  return undefined;
}

function readPath(options: Options, key: string): string | undefined {
  const path = options.text(key);
  if (path !== undefined && !path.startsWith("/")) {
    options.refuse(
      options.entry(key) ?? options.section,
      `"${key}" is "${path}" and has to be absolute: begin it with /`,
    );
  }
  return path;
}

/** Defaults of Fluent Bit 5.1, by plugin and option, in the words of options here. Only those that may differ are listed. */
const defaults: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  service: { flush: "1s", grace: "5s", "scheduler.base": "5s", "scheduler.cap": "2000s" },
  "input tail": {
    read_from_head: "off",
    refresh_interval: "60s",
    rotate_wait: "5s",
    buffer_chunk_size: "32768",
    buffer_max_size: "32768",
    skip_empty_lines: "off",
  },
  "input http": { listen: "0.0.0.0", buffer_max_size: "4000000" },
  output: { retry_limit: "1", "storage.total_limit_size": "no limit", "tls.verify": "on" },
  "output http": { format: "msgpack", "net.connect_timeout": "10s", "http.response_timeout": "60s" },
  "output es": {
    index: "fluent-bit",
    type: "_doc",
    suppress_type_name: "off",
    logstash_format: "off",
    write_operation: "create",
    generate_id: "off",
    time_key: "@timestamp",
    replace_dots: "off",
    trace_error: "off",
  },
  "output opensearch": {
    index: "fluent-bit",
    suppress_type_name: "off",
    logstash_format: "off",
    write_operation: "create",
    generate_id: "off",
    time_key: "@timestamp",
    replace_dots: "off",
  },
  "output forward": {
    self_hostname: "localhost",
    require_ack_response: "off",
    "net.connect_timeout": "10s",
    "net.io_timeout": "no limit",
  },
  "output kafka": { format: "json", "rdkafka.acks": "all", "rdkafka.message.max.bytes": "1000000" },
  "output file": { format: "out_file", mkdir: "off" },
  "output stdout": { format: "msgpack" },
  "output loki": { labels: "job=fluent-bit", line_format: "json", auto_kubernetes_labels: "off" },
};

/** What Fluent Bit would do without the option, when that is something else than what is done here. */
export function otherDefault(kind: string, name: string, key: string, ours: string): string | undefined {
  const theirs = defaults[`${kind} ${name}`]?.[key] ?? defaults[kind]?.[key];
  return theirs === undefined || theirs.toLowerCase() === ours.toLowerCase() ? undefined : theirs;
}

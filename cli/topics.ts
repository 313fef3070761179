/** What `fleetctl --help` says about each noun. */
export const topics = {
  agent: { description: "Take single agents out of the fleet." },
  alerts: { description: "See what the clusters' rules caught, and say what becomes of it." },
  "alerts:silence": {
    description: "Mark alerts that are known, for a while, so that nobody is called for them.",
  },
  audit: { description: "See who did what, and prove that nobody rewrote it." },
  bundle: { description: "Build, sign, push and compare bundles of rules or shipper configs." },
  cluster: { description: "See the clusters of the fleet and what each of them proves." },
  context: { description: "Choose which server to talk to." },
  freeze: { description: "Keep the whole fleet's rollouts from beginning waves." },
  notify: { description: "Tell people outside what happens in the fleet." },
  "notify:dead-letters": { description: "See messages that were given up, and send them again." },
  "notify:receiver": { description: "Say where messages can go, and try it." },
  "notify:route": { description: "Say which alerts and states of the fleet go where." },
  report: { description: "Write down who did what in the clusters, for people who were not there." },
  "report:schedule": { description: "Have reports made and sent by the server, each week or each day." },
  response: { description: "See what agents did about alerts." },
  rollout: { description: "Move clusters to a bundle, wave by wave, and watch the proofs." },
  "rollout:shadow": { description: "See what a bundle would change before it does." },
  rules: {
    description: "Write, test, explain and tune detection rules, and try them on what clusters have seen.",
  },
  shipper: {
    description:
      "Check, show and run shipper configs on this machine, and send again what was set aside, on this machine.",
  },
  token: { description: "Make and revoke join tokens for agents." },
  "token:api": { description: "Make and revoke API tokens for people and CI." },
  trust: { description: "Hold the keys that decide what may run." },
  "trust:ca": { description: "Replace the CA of servers and agents without losing an agent." },
} as const;

/** The tactics of MITRE ATT&CK for enterprises, as Falco's rules write them in tags after `mitre_`. */
export const mitreTactics = [
  "reconnaissance",
  "resource_development",
  "initial_access",
  "execution",
  "persistence",
  "privilege_escalation",
  "defense_evasion",
  "credential_access",
  "discovery",
  "lateral_movement",
  "collection",
  "command_and_control",
  "exfiltration",
  "impact",
] as const;

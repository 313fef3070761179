import { ClusterService, RevokeAgentResponseSchema } from "#proto/fleet/v1/cluster";
import { FleetCommand } from "../../fleet-command.ts";
import { requiredArg } from "../../flags.ts";

export default class AgentRevoke extends FleetCommand {
  static override summary = "Take an agent's identity back, because it was stolen or copied.";
  static override description =
    "Within seconds its sessions end on every server, and its calls and renewals are refused. It goes on detecting: a server cannot stop that. It comes back as the same agent only with a join token that is made afterwards. To take a whole cluster out, retire it.";
  static override examples = [
    {
      description: "A node of eu-1 was stolen.",
      command: "<%= config.bin %> <%= command.id %> eu-1 node-1",
    },
    {
      description: "By id, from a script.",
      command: "<%= config.bin %> <%= command.id %> cl_4k2j ag_7h3m -o json",
    },
  ];
  static override args = {
    cluster: requiredArg("Name or id of the cluster."),
    agent: requiredArg("Name or id of the agent, as cluster show has it."),
  };

  override async run(): Promise<void> {
    const { args, flags } = await this.parse(AgentRevoke);
    const service = await this.client(ClusterService, flags);
    const revoked = await service.revokeAgent({ cluster: args.cluster, agent: args.agent });
    this.answer(flags.output, RevokeAgentResponseSchema, revoked, () => [
      `Revoked agent ${revoked.agentName} (${revoked.agentId}) of ${revoked.cluster?.name ?? args.cluster}.`,
    ]);
    for (const id of revoked.usableTokenIds) {
      this.talk(`It enrolled by ${id}, which admits others still. To end that: fleetctl token revoke ${id}`);
    }
    this.talk("To let the agent back in, make a join token now: fleetctl token create --help");
  }
}

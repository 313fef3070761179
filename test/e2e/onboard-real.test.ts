/** The same as onboard.test.ts, against a cluster that is real. It changes that cluster, and takes out again what it made. */
import { test } from "node:test";
import { localServer } from "../support/local-fleet.ts";
import { bringIn, fleetctl } from "../support/onboard-story.ts";
import { setEnv } from "../support/run-cli.ts";

const {
  // Not KUBECONFIG: whoever has a production cluster there must be able to run the tests.
  FALCONRY_TEST_KUBECONFIG: kubeconfig,
  FALCONRY_TEST_CONTEXT: context = "",
  FALCONRY_TEST_IMAGE: image = "",
  FALCONRY_TEST_HOST: host = "",
} = process.env;
const isMissing = kubeconfig === undefined || context === "" || image === "" || host === "";

test(
  "a real cluster is brought into a fleet, a canary comes through as an alert, and it is taken out again",
  {
    timeout: 900_000,
    skip:
      isMissing &&
      "FALCONRY_TEST_KUBECONFIG, FALCONRY_TEST_CONTEXT, FALCONRY_TEST_IMAGE and FALCONRY_TEST_HOST are not set",
  },
  async (t) => {
    setEnv(t, "KUBECONFIG", kubeconfig ?? "");
    setEnv(t, "FLEETCTL_CONTEXT", "local");
    setEnv(t, "FLEETCTL_IMAGE", image);
    const fleet = await localServer(t, host);
    try {
      await bringIn(t, fleet, { name: "test-1", context });
    } finally {
      await fleetctl(t, "cluster", "offboard", "test-1", "--context", context);
    }
  },
);

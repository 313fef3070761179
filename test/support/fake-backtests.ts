import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import {
  type Backtest,
  BacktestSchema,
  type BacktestService,
  BacktestState,
  type StartBacktestRequest,
} from "#proto/fleet/v1/backtest";
import type { FakeFleet } from "./fake-fleet.ts";

/** Backtests of the fake fleet: each cluster has one agent, and what they give is always the same. */
export class FakeBacktests {
  readonly asked: StartBacktestRequest[] = [];
  /** What becomes of backtests; while it is RUNNING they go on until they are cancelled. */
  end: BacktestState = BacktestState.DONE;
  /** How many of the agents cannot. */
  refused = 0;
  readonly #all = new Map<string, Backtest>();
  readonly #fleet: FakeFleet;

  constructor(fleet: FakeFleet) {
    this.#fleet = fleet;
  }

  find(id: string): Backtest {
    const found = this.#all.get(id);
    if (found === undefined) throw new ConnectError(`No such backtest: "${id}"`, Code.NotFound);
    return found;
  }

  service(): ServiceImpl<typeof BacktestService> {
    return {
      startBacktest: (request) => {
        this.asked.push(request);
        const agents = this.#fleet.matching(request.selector).length;
        if (agents === 0) throw new ConnectError("The selector chooses no cluster", Code.FailedPrecondition);
        const backtest = create(BacktestSchema, {
          id: `bt_${this.asked.length}`,
          state: BacktestState.RUNNING,
          clusters: agents,
          agents,
          bytesTotal: 200n,
        });
        this.#all.set(backtest.id, backtest);
        return { backtest };
      },
      getBacktest: ({ backtestId }) => {
        const counts = { now: 4n, candidate: 6n, new: 3n, gone: 1n };
        const examples = [{ clusterName: "eu-1", isGone: false, fields: { "ka.user.name": "alice" } }];
        const rules = [{ rule: "Exec into a pod", ...counts, clusters: 2, examples }];
        const agent = { clusterName: "eu-2", agentName: "node-1" };
        const problems = [{ ...agent, reason: "backtest/ring-short", detail: "since an hour only" }];
        return { backtest: this.find(backtestId), rules, problems };
      },
      watchBacktest: ({ backtestId }, { signal }) => this.#watch(this.find(backtestId), signal),
      cancelBacktest: ({ backtestId }) => {
        const backtest = this.find(backtestId);
        if (backtest.state === BacktestState.RUNNING) backtest.state = BacktestState.CANCELED;
        return { backtest };
      },
    };
  }

  async *#watch(backtest: Backtest, signal: AbortSignal) {
    backtest.bytesDone = 100n;
    yield { backtest };
    const isOver = () => signal.aborted || backtest.state === BacktestState.CANCELED;
    while (this.end === BacktestState.RUNNING && !isOver()) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    if (signal.aborted) return;
    if (isOver()) {
      yield { backtest };
      return;
    }
    const { agents } = backtest;
    const sums = { new: 3n, gone: 1n, now: 4n, candidate: 6n, events: 12n, bytesDone: 200n };
    Object.assign(backtest, {
      ...sums,
      state: this.end,
      answered: agents,
      ended: agents,
      refused: this.refused,
    });
    yield { backtest };
  }
}

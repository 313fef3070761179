import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import { type Freeze, FreezeSchema, type FreezeService } from "#proto/fleet/v1/freeze";

/** The freezes of the fake fleet. */
export class FakeFreezes {
  readonly past: Freeze[] = [];
  now: Freeze | undefined;

  service(): ServiceImpl<typeof FreezeService> {
    return {
      setFreeze: ({ reason, until }) => {
        this.now = create(FreezeSchema, {
          reason,
          createdBy: "test",
          createdAt: timestampFromMs(Date.now()),
          ...(until === undefined ? {} : { until }),
        });
        return { freeze: this.now };
      },
      liftFreeze: () => {
        const freeze = this.now;
        if (freeze === undefined) throw new ConnectError("The fleet is not frozen", Code.FailedPrecondition);
        Object.assign(freeze, { liftedAt: timestampFromMs(Date.now()), liftedBy: "test" });
        this.past.unshift(freeze);
        this.now = undefined;
        return { freeze };
      },
      getFreeze: () => ({ ...(this.now === undefined ? {} : { freeze: this.now }), past: this.past }),
    };
  }
}

import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import {
  DeadLetterSchema,
  ReceiverSchema,
  RouteSchema,
  type DeadLetter,
  type NotificationService,
  type Receiver,
  type Route,
} from "#proto/fleet/v1/notification";

/** Receivers, routes and dead letters of a test's fleet. */
export class FakeNotifications {
  readonly receivers: Receiver[] = [];
  readonly routes: Route[] = [];
  deadLetters: DeadLetter[] = [];
  /** What came as secrets, by receiver. */
  readonly secrets = new Map<string, Readonly<Record<string, string>>>();
  /** What a test of a receiver comes to. */
  answer = { delivered: true, words: "hooks.example answered 200: ok" };

  /** Gives up a message. */
  bury(receiver: string, subject: string): void {
    const id = `nd_${this.deadLetters.length}`;
    const failure = "hooks.example answered 503 (12 attempts)";
    const deadAt = timestampFromMs(Date.now());
    this.deadLetters.unshift(
      create(DeadLetterSchema, { id, receiver, subject, attempts: 12, failure, deadAt }),
    );
  }

  service(): ServiceImpl<typeof NotificationService> {
    return {
      putReceiver: ({ name, kind, settings, secrets, perMinute, replace }) => {
        const known = this.receivers.findIndex((each) => each.name === name);
        if (known !== -1 && !replace) {
          throw new ConnectError(`The receiver "${name}" exists already`, Code.AlreadyExists);
        }
        if (known !== -1) this.receivers.splice(known, 1);
        this.secrets.set(name, secrets);
        const secretNames = Object.keys(secrets);
        const made = { name, kind, settings, secretNames, perMinute: perMinute || 20, createdBy: "test" };
        const receiver = create(ReceiverSchema, made);
        this.receivers.push(receiver);
        return { receiver };
      },
      listReceivers: () => ({ receivers: this.receivers }),
      removeReceiver: ({ name }) => {
        this.#receiver(name);
        this.receivers.splice(
          this.receivers.findIndex((each) => each.name === name),
          1,
        );
        return {};
      },
      testReceiver: ({ name }) => {
        this.#receiver(name);
        return this.answer;
      },
      addRoute: (request) => {
        this.#receiver(request.receiver);
        const { $typeName: _name, $unknown: _unknown, ...wish } = request;
        const route = create(RouteSchema, wish);
        this.routes.push(route);
        return { route };
      },
      listRoutes: () => ({ routes: this.routes }),
      removeRoute: ({ name }) => {
        const place = this.routes.findIndex((each) => each.name === name);
        if (place === -1) throw new ConnectError(`No such route: "${name}"`, Code.NotFound);
        this.routes.splice(place, 1);
        return {};
      },
      listDeadLetters: ({ receiver }) => ({
        deadLetters: this.deadLetters.filter((each) => receiver === "" || each.receiver === receiver),
      }),
      retryDeadLetters: ({ ids, receiver }) => {
        const before = this.deadLetters.length;
        this.deadLetters = this.deadLetters.filter(
          (each) => !(ids.length > 0 ? ids.includes(each.id) : each.receiver === receiver),
        );
        return { count: before - this.deadLetters.length };
      },
    };
  }

  #receiver(name: string): Receiver {
    const found = this.receivers.find((each) => each.name === name);
    if (found === undefined) throw new ConnectError(`No such receiver: "${name}"`, Code.NotFound);
    return found;
  }
}

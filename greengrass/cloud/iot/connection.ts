/** What the broker knows of one TLS connection. */
import { randomUUID } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import type { PolicyVariables } from './policy.js';
import type { SessionOutbox } from './session-outbox.js';

/** Why a connection ended, in AWS IoT's words. */
export type DisconnectReason =
  | 'AUTH_ERROR'
  | 'CLIENT_ERROR'
  | 'CLIENT_INITIATED_DISCONNECT'
  | 'CONNECTION_LOST'
  | 'DUPLICATE_CLIENTID'
  | 'MQTT_KEEP_ALIVE_TIMEOUT'
  | 'SERVER_ERROR'
  | 'SERVER_INITIATED_DISCONNECT';

export class Connection {
  /** Known from CONNECT on. */
  clientId: string | undefined;
  isPersistent = false;
  /** Names this connection in lifecycle events. */
  sessionIdentifier = '';
  versionNumber = 0;
  /** ms since 1970; 0 before CONNECT was accepted. */
  connectedAt = 0;
  variables: PolicyVariables = {};
  /** Documents of the certificate's policies, as they were last read. */
  policies: readonly string[] = [];
  /** The certificate is no longer ACTIVE: nothing more is taken, not even the will. */
  isRevoked = false;
  /** Said once; the first to say it is right. */
  endReason: DisconnectReason | undefined;
  /** Topic filters that it subscribed to, or is about to, with their QoS. */
  filters: Map<string, number> = NO_FILTERS;
  /** Sends what waits in its persistent session. */
  outbox: SessionOutbox | undefined;
  /** The publication that is being taken; those behind wait for it. */
  publishing: Promise<void> | undefined;
  /** Something that it sent was refused in a way that ends it: nothing behind it is taken. */
  isRefused = false;
  /** It was told that it is connected, and so were others. */
  isReady = false;
  /** aedes lists it under its client id. */
  isRegistered = false;
  #goneSoon: Promise<void> | undefined;
  #tellGone: (() => void) | undefined;

  constructor(
    readonly certificateId: string,
    readonly socket: TLSSocket,
  ) {}

  /** CONNECT was accepted. */
  begin(): void {
    this.connectedAt = Date.now();
    this.sessionIdentifier = randomUUID();
  }

  /** Cuts the connection. */
  end(reason: DisconnectReason): void {
    this.endReason ??= reason;
    this.socket.destroy();
  }

  holdFilter(filter: string, qos: number): void {
    if (this.filters === NO_FILTERS) this.filters = new Map();
    this.filters.set(filter, qos);
  }

  /** Resolves when it has left the list of clients. */
  gone(): Promise<void> {
    this.#goneSoon ??= new Promise((resolve) => {
      this.#tellGone = resolve;
    });
    return this.#goneSoon;
  }

  tellGone(): void {
    this.#tellGone?.();
  }
}

/** Shared by all that subscribe to nothing. Never written to. */
const NO_FILTERS: Map<string, number> = new Map();

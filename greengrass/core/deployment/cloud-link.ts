/** What the agent needs of the connection to the cloud. */
export interface CloudLink {
  subscribe(filter: string, handler: (topic: string, payload: Buffer) => void): void;
  publish(topic: string, payload: Buffer | string, qos: 0 | 1): Promise<void>;
  /** Called after each (re)connect. */
  onConnected(listener: () => void): void;
}

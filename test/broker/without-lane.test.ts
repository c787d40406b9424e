/** The same behaviour with Node.js' own TLS sockets, which serve where the lane in C was not built. */
process.env.GREENGRASS_TEST_WITHOUT_LANE = '1';
await import('./backlog.test.js');
await import('./connections.test.js');
await import('./messages.test.js');
await import('./protocol.test.js');
await import('./sessions.test.js');

export {};

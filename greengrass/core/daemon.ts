/**
 * The core's process: all parts, in the order of their life. Read this file top to bottom to know what runs.
 *
 * The local side (shadows, functions, devices) starts from what is on disk and never waits for the cloud; the agent
 * and the cloud connection come last.
 */
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from '../lib/log.js';
import { PACKAGE_ROOT, VERSION } from '../lib/package-root.js';
import { certificateId } from '../lib/x509.js';
import type { CoreConfig } from '../model/core-config.js';
import { EMPTY_GROUP, type GroupDocument } from '../model/group.js';
import { MqttServer } from './broker/mqtt-server.js';
import { ServerCertificate } from './certificates/server-certificate.js';
import type { Component } from './component.js';
import { DeploymentAgent } from './deployment/agent.js';
import { ArtifactStore } from './deployment/artifact-store.js';
import { GroupStore } from './deployment/group-store.js';
import { GroupRuntime } from './group-runtime.js';
import { CloudEndpoint } from './iot-client/cloud-endpoint.js';
import { IotConnection } from './iot-client/connection.js';
import { Spooler } from './iot-client/spooler.js';
import { IpDetector } from './ip-detector/ip-detector.js';
import { IpcServer } from './ipc/ipc-server.js';
import { Isolation } from './isolation/isolation.js';
import { Functions } from './lambda/functions.js';
import { LogFiles } from './logs/log-files.js';
import { Router } from './router/router.js';
import { ServiceClient } from './service-client.js';
import { ShadowEndpoint } from './shadow/shadow-endpoint.js';
import { ShadowService } from './shadow/shadow-service.js';

package com.amazonaws.greengrass.ipcsdk;

import com.amazonaws.greengrass.runtime.Door;
import java.util.LinkedHashMap;
import java.util.Map;

/** The client over the core's door. Safe in every thread. */
public class DefaultIPCClient implements IPCClient {
    private final Door door = Door.ofWorker();

    public DefaultIPCClient() {}

    /** Old SDKs name a host and V1's fixed port; the environment knows better. */
    public DefaultIPCClient(String host, int port) {}

    @Override
    public String postWork(String functionArn, String invocationType, byte[] payload, String clientContext)
            throws IPCException {
        Map<String, String> headers = new LinkedHashMap<>();
        headers.put("X-Amz-Client-Context", clientContext == null ? "" : clientContext);
        headers.put("X-Amz-Invocation-Type", invocationType);
        return door.exchange("POST", functionArn, headers, payload).header("x-amz-invocationid");
    }

    @Override
    public WorkResult getWorkResult(String functionArn, String invocationId) throws IPCException {
        Map<String, String> headers = new LinkedHashMap<>();
        headers.put("X-Amz-InvocationId", invocationId);
        Door.Answer answer = door.exchange("GET", functionArn, headers, null);
        return new WorkResult(answer.body, answer.status, answer.header("x-amz-function-error"));
    }
}

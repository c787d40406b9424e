package com.amazonaws.greengrass.ipcsdk;

/** What a function asks the core for. */
public interface IPCClient {
    /** Invokes; `clientContext` is base64 or null. Answers the id of the invocation. */
    String postWork(String functionArn, String invocationType, byte[] payload, String clientContext)
        throws IPCException;

    /** Blocks until the invocation is done. */
    WorkResult getWorkResult(String functionArn, String invocationId) throws IPCException;
}
